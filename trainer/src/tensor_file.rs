//! A safetensors file of somebody else, read tensor by tensor: what does not fit is told from the header, before any value is read.
//!
//! Every length in the header is checked against the file. What the tensors mean is not known here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use tch::{Kind, Tensor};

use crate::failure::Failure;

/// Bytes that say how long the header is.
const LENGTH_BYTES: u64 = 8;
/// The format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// An open file and its header.
#[derive(Debug)]
pub struct TensorFile {
    key: &'static str,
    path: PathBuf,
    file: File,
    tensors: BTreeMap<String, Stored>,
}

/// Where and how a tensor is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Kind of its values.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<i64>,
    start: u64,
    num_bytes: usize,
}

impl TensorFile {
    /// Opens the file that the configuration's `key` names.
    ///
    /// # Errors
    /// [`Failure::Usage`] when it cannot be opened, [`Failure::Data`] when it is no safetensors file or is cut short.
    pub fn open(key: &'static str, path: &Path) -> Result<TensorFile, Failure> {
        let unusable = |error: io::Error| {
            let shown = path.display();
            Failure::Usage(format!("{key}: {error}; {shown}; give a safetensors file"))
        };
        let file = File::open(path).map_err(unusable)?;
        let num_bytes = file.metadata().map_err(unusable)?.len();
        let tensors = tensors(&file, num_bytes).map_err(|what| damaged(key, path, &what))?;
        Ok(TensorFile {
            key,
            path: path.to_owned(),
            file,
            tensors,
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every tensor by name, in the order of names.
    pub fn tensors(&self) -> &BTreeMap<String, Stored> {
        &self.tensors
    }

    /// The values of one tensor.
    ///
    /// # Errors
    /// When there is none of this name, or the file cannot be read any more.
    pub fn read(&self, name: &str) -> Result<Tensor, Failure> {
        let broken = |what: String| damaged(self.key, &self.path, &format!("{name}: {what}"));
        let stored = self.tensors.get(name);
        let stored = stored.ok_or_else(|| broken("there is no such tensor".to_owned()))?;
        let mut bytes = vec![0; stored.num_bytes];
        let read = self.file.read_exact_at(&mut bytes, stored.start);
        read.map_err(|error| broken(error.to_string()))?;
        let kind = Kind::try_from(stored.dtype).map_err(|error| broken(error.to_string()))?;
        Ok(Tensor::from_data_size(&bytes, &stored.shape, kind))
    }
}

impl Stored {
    /// Whether its values are floating-point numbers.
    pub fn is_floating_point(&self) -> bool {
        matches!(
            self.dtype,
            Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64
        )
    }

    /// A tensor of the header, if its bytes lie within the file and are as many as its shape asks for.
    fn checked(info: &TensorInfo, data_start: u64, file_bytes: u64) -> Option<Stored> {
        let (start, end) = info.data_offsets;
        let num_bytes = end.checked_sub(start)?;
        let sizes = info.shape.iter().copied();
        let wanted = sizes
            .chain([info.dtype.size()])
            .try_fold(1, usize::checked_mul)?;
        let is_inside = data_start.checked_add(end as u64)? <= file_bytes;
        (wanted == num_bytes && is_inside).then(|| Stored {
            dtype: info.dtype,
            shape: info.shape.iter().map(|size| *size as i64).collect(),
            start: data_start + start as u64,
            num_bytes,
        })
    }
}

fn damaged(key: &str, path: &Path, what: &str) -> Failure {
    Failure::Data(format!(
        "{key}: {what}; {}; write this file anew with safetensors",
        path.display()
    ))
}

/// What the header says, checked.
fn tensors(file: &File, file_bytes: u64) -> Result<BTreeMap<String, Stored>, String> {
    let mut length = [0; LENGTH_BYTES as usize];
    let read = file.read_exact_at(&mut length, 0);
    read.map_err(|_| "it is too short for a safetensors file".to_owned())?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES.min(file_bytes.saturating_sub(LENGTH_BYTES)) {
        return Err("it is no safetensors file, or cut short".to_owned());
    }
    let mut header = vec![0; header_bytes as usize];
    let read = file.read_exact_at(&mut header, LENGTH_BYTES);
    read.map_err(|error| error.to_string())?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| format!("its header is none of safetensors: {error}"))?;
    let data_start = LENGTH_BYTES + header_bytes;
    let checked = |(name, info): (String, &TensorInfo)| {
        let stored = Stored::checked(info, data_start, file_bytes);
        let stored = stored.ok_or_else(|| format!("{name} does not lie in it whole"))?;
        Ok((name, stored))
    };
    metadata.tensors().into_iter().map(checked).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn open(bytes: &[u8]) -> Result<TensorFile, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        fs::write(&path, bytes).unwrap();
        TensorFile::open("KEY", &path).map_err(|failure| {
            assert_eq!(failure.exit_code(), 3);
            failure.to_string()
        })
    }

    fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn tensors_of_every_kind_come_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        let values = Tensor::from_slice(&[1.5f32, -2.0, 0.25, 8.0, 0.0, -1.0]).view([2, 3]);
        let bytes = Tensor::from_slice(&[0u8, 255, 7]);
        Tensor::write_safetensors(&[("a.b", &values), ("c", &bytes)], &path).unwrap();
        let file = TensorFile::open("KEY", &path).unwrap();
        assert_eq!(file.tensors()["a.b"].shape, [2, 3]);
        assert!(file.tensors()["a.b"].is_floating_point());
        assert!(!file.tensors()["c"].is_floating_point());
        assert_eq!(file.read("a.b").unwrap(), values);
        assert_eq!(file.read("c").unwrap(), bytes);
        assert!(file.read("d").is_err());
    }

    #[test]
    fn headers_that_lie_are_told_before_anything_is_read() {
        let entry = |shape: &str, end: u64| {
            format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
        };
        assert!(open(&with_header(&entry("[2]", 8), &[0; 8])).is_ok());
        let huge = "[4611686018427387904,4]";
        for (header, data) in [
            (entry("[2]", 8), 7),
            (entry("[3]", 8), 8),
            (entry(huge, 8), 8),
            (entry("[2]", u64::MAX), 8),
        ] {
            let told = open(&with_header(&header, &vec![0; data])).unwrap_err();
            assert!(told.contains("KEY: a does not lie in it whole"), "{told}");
        }
        for bytes in [&b""[..], b"short", &[255; 64], &with_header("{}", b"")[..9]] {
            assert!(open(bytes).unwrap_err().contains("safetensors"));
        }
        assert!(
            open(&with_header("[]", b""))
                .unwrap_err()
                .contains("header")
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_a_mistake_of_the_command_line() {
        let failure = TensorFile::open("KEY", Path::new("/no/such/file")).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
    }
}
