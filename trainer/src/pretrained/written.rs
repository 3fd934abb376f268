//! Writing a safetensors file: beside its place, then renamed, so that there is a whole one or none.
//!
//! The header is written here since the library's own puts what is known about the tensors in another order each time.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

use super::about::About;
use super::error::PretrainedError;

/// Writes tensors in single precision, by name. A file that is there already stays, unless it is to be replaced.
pub(super) fn write(
    path: &Path,
    tensors: &[(String, Tensor)],
    about: &About,
    replace: bool,
) -> Result<(), PretrainedError> {
    let written = beside(path, tensors, about).and_then(|file| match replace {
        true => file.persist(path).map_err(io::Error::from),
        false => file.persist_noclobber(path).map_err(io::Error::from),
    });
    let path = path.to_owned();
    match written {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(PretrainedError::Exists { path })
        }
        Err(source) => Err(PretrainedError::Write { path, source }),
    }
}

fn beside(
    path: &Path,
    tensors: &[(String, Tensor)],
    about: &About,
) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let mut file = tempfile::Builder::new()
        .prefix(".export-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    let header = header(tensors, about);
    let mut out = io::BufWriter::new(file.as_file_mut());
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for (_, tensor) in tensors {
        let mut bytes = vec![0; num_bytes(tensor)];
        let values = tensor.to_kind(Kind::Float).contiguous();
        values
            .f_copy_data_u8(&mut bytes, tensor.numel())
            .map_err(io::Error::other)?;
        out.write_all(&bytes)?;
    }
    out.flush()?;
    drop(out);
    file.as_file().sync_all()?;
    Ok(file)
}

/// Kind, shape and place of each tensor; filled up to a multiple of 8 bytes.
fn header(tensors: &[(String, Tensor)], about: &About) -> String {
    let mut entries = Map::new();
    entries.insert("__metadata__".to_owned(), json!(about.words()));
    let mut at = 0;
    for (name, tensor) in tensors {
        let end = at + num_bytes(tensor);
        let entry = json!({"dtype": "F32", "shape": tensor.size(), "data_offsets": [at, end]});
        entries.insert(name.clone(), entry);
        at = end;
    }
    let text = Value::Object(entries).to_string();
    let width = text.len().next_multiple_of(8);
    format!("{text:width$}")
}

fn num_bytes(tensor: &Tensor) -> usize {
    tensor.numel() * Kind::Float.elt_size_in_bytes()
}
