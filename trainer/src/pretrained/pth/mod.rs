//! Files that PyTorch's `torch.save` wrote: dictionaries of tensors, in dictionaries of anything. Both of its formats are read, the archive
//! (since version 1.6) and the one before it.
//!
//! Nothing that such a file says is believed: lengths are held against the file's own, and the pickle inside is read by `pickle`, which runs
//! nothing.

mod archive;
mod legacy;
mod tensors;

use std::fs::{self, File};
use std::path::Path;

use tch::Tensor;

use super::pickle::machine::Unpickled;
use super::pickle::object::TensorRef;
use archive::Archive;
use legacy::Legacy;
use tensors::Leaf;

/// Reads the tensors of a file that are wanted, by their names: keys of dictionaries, joined by dots. `foreign` is told of every object
/// that is not built: its name and class.
pub(super) fn read(
    path: &Path,
    is_wanted: impl Fn(&str) -> bool,
    mut foreign: impl FnMut(&str, &str),
) -> Result<Vec<(String, Option<Tensor>)>, String> {
    let file_len = fs::metadata(path).map_err(|error| error.to_string())?.len();
    let mut source = Source::open(path)?;
    let mut budget = 2 * file_len;
    let mut found = Vec::new();
    for (name, leaf) in tensors::leaves(source.pickle())? {
        match leaf {
            Leaf::Foreign(class) => foreign(&name, &class),
            Leaf::Tensor(tensor) if is_wanted(&name) => {
                let of = |what: String| format!("{name}: {what}");
                budget = tensors::num_bytes(&tensor)
                    .and_then(|num| budget.checked_sub(num))
                    .ok_or_else(|| of("the tensors are larger than the file".to_owned()))?;
                let read = source.tensor(&tensor).map_err(of)?;
                found.push((name, Some(read)));
            }
            Leaf::Tensor(_) => found.push((name, None)),
        }
    }
    Ok(found)
}

/// Whether a file that begins so is one of these.
pub(super) fn is_one(start: &[u8]) -> bool {
    archive::is_one(start) || legacy::is_one(start)
}

/// A file of either format.
#[derive(Debug)]
enum Source {
    Archive(Archive),
    Legacy(Legacy),
}

impl Source {
    fn open(path: &Path) -> Result<Source, String> {
        let open = || File::open(path).map_err(|error| error.to_string());
        let mut start = [0; 4];
        std::io::Read::read_exact(&mut open()?, &mut start).map_err(|error| error.to_string())?;
        if archive::is_one(&start) {
            return Ok(Source::Archive(Archive::open(open()?)?));
        }
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        Ok(Source::Legacy(Legacy::open(bytes)?))
    }

    fn pickle(&self) -> &Unpickled {
        match self {
            Source::Archive(archive) => archive.pickle(),
            Source::Legacy(legacy) => legacy.pickle(),
        }
    }

    fn tensor(&mut self, tensor: &TensorRef) -> Result<Tensor, String> {
        match self {
            Source::Archive(archive) => tensors::build(tensor, &archive.storage(&tensor.storage)?),
            Source::Legacy(legacy) => tensors::build(tensor, legacy.storage(&tensor.storage)?),
        }
    }
}
