//! PyTorch's archives: a zip, not compressed, with the pickle `NAME/data.pkl` and every storage as `NAME/data/KEY`. The zip's own checksums are
//! checked as it is read.

use std::fs::File;
use std::io::Read;

use zip::{CompressionMethod, ZipArchive};

use crate::pretrained::pickle::machine::{self, Unpickled};
use crate::pretrained::pickle::object::Storage;

const PICKLE: &str = "/data.pkl";
/// Most bytes of a pickle.
const MAX_PICKLE: u64 = 64 << 20;

/// An open archive.
#[derive(Debug)]
pub(super) struct Archive {
    zip: ZipArchive<File>,
    name: String,
    pickle: Unpickled,
}

/// Whether a file that begins so is a zip.
pub(super) fn is_one(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04")
}

impl Archive {
    pub(super) fn open(file: File) -> Result<Archive, String> {
        let mut zip = ZipArchive::new(file).map_err(|error| error.to_string())?;
        let pickle = zip.file_names().find(|name| name.ends_with(PICKLE));
        let pickle = pickle.ok_or("this zip is none of PyTorch's")?.to_owned();
        let name = pickle.trim_end_matches(PICKLE).to_owned();
        let order = format!("{name}/byteorder");
        if zip.file_names().any(|entry| entry == order) && read(&mut zip, &order, 16)? != b"little"
        {
            return Err("its numbers have the most significant byte first".to_owned());
        }
        let pickle = machine::read(&read(&mut zip, &pickle, MAX_PICKLE)?)?;
        Ok(Archive { zip, name, pickle })
    }

    pub(super) fn pickle(&self) -> &Unpickled {
        &self.pickle
    }

    /// The bytes of a storage.
    pub(super) fn storage(&mut self, storage: &Storage) -> Result<Vec<u8>, String> {
        let wanted = storage.num_bytes()?;
        let bytes = read(
            &mut self.zip,
            &format!("{}/data/{}", self.name, storage.key),
            wanted,
        )?;
        match bytes.len() as u64 == wanted {
            true => Ok(bytes),
            false => Err(format!(
                "storage {} has {} bytes instead of {wanted}",
                storage.key,
                bytes.len()
            )),
        }
    }
}

/// An entry of at most so many bytes.
fn read(zip: &mut ZipArchive<File>, name: &str, most: u64) -> Result<Vec<u8>, String> {
    let of = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let mut entry = zip.by_name(name).map_err(|error| of(&error))?;
    if entry.compression() != CompressionMethod::Stored {
        return Err(of(&"it is compressed, as PyTorch writes none"));
    }
    if entry.size() > most {
        return Err(of(&format!(
            "it has {} bytes, more than {most}",
            entry.size()
        )));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|error| of(&error))?;
    Ok(bytes)
}
