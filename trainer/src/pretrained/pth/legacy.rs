//! What `torch.save` wrote before version 1.6: five pickles (a number to know it by, a version, the machine, the object, the keys of the
//! storages), then every storage in the order of the keys, each behind the number of its values.

use std::collections::HashMap;
use std::ops::Range;

use crate::pretrained::pickle::machine::{self, Unpickled};
use crate::pretrained::pickle::object::{Object, Storage};

/// The first pickle but for its protocol: `0x1950a86a20f9469cfc6c`.
const MAGIC: [u8; 13] = [
    0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.',
];

/// A file, read whole.
#[derive(Debug)]
pub(super) struct Legacy {
    bytes: Vec<u8>,
    pickle: Unpickled,
    /// Where each storage lies.
    places: HashMap<String, Range<usize>>,
}

/// Whether a file that begins so is one of these.
pub(super) fn is_one(start: &[u8]) -> bool {
    start.first() == Some(&0x80) && start.get(2..4) == Some(&MAGIC[..2])
}

impl Legacy {
    pub(super) fn open(bytes: Vec<u8>) -> Result<Legacy, String> {
        if bytes.get(2..15) != Some(&MAGIC) {
            return Err("it is a pickle, and not of PyTorch".to_owned());
        }
        let mut at = 0;
        let mut next = || {
            let pickle = machine::read(&bytes[at..])?;
            at += pickle.num_bytes;
            Ok::<_, String>(pickle)
        };
        let [_, _, machine, pickle, keys] = [next()?, next()?, next()?, next()?, next()?];
        if is_big_endian(&machine) {
            return Err("its numbers have the most significant byte first".to_owned());
        }
        let places = places(&bytes, at, &pickle, &keys)?;
        Ok(Legacy {
            bytes,
            pickle,
            places,
        })
    }

    pub(super) fn pickle(&self) -> &Unpickled {
        &self.pickle
    }

    /// The bytes of a storage.
    pub(super) fn storage(&self, storage: &Storage) -> Result<&[u8], String> {
        let place = self.places.get(&storage.key);
        let place = place.ok_or_else(|| format!("storage {} is not in the file", storage.key))?;
        match place.len() as u64 == storage.num_bytes()? {
            true => Ok(&self.bytes[place.clone()]),
            false => Err(format!(
                "storage {} has another length than its tensors",
                storage.key
            )),
        }
    }
}

fn is_big_endian(machine: &Unpickled) -> bool {
    let Object::Dict(pairs) = &machine.heap[machine.root] else {
        return false;
    };
    let is_key = |object: &Object| *object == Object::Text("little_endian".to_owned());
    pairs.iter().any(|(key, value)| {
        is_key(&machine.heap[*key]) && machine.heap[*value] == Object::Bool(false)
    })
}

/// Where the storages lie, from `at` on.
fn places(
    bytes: &[u8],
    mut at: usize,
    pickle: &Unpickled,
    keys: &Unpickled,
) -> Result<HashMap<String, Range<usize>>, String> {
    let storages = pickle.heap.iter().filter_map(|object| match object {
        Object::Storage(storage) => Some((storage.key.as_str(), storage)),
        _ => None,
    });
    let storages: HashMap<&str, &Storage> = storages.collect();
    let Object::List(items) = &keys.heap[keys.root] else {
        return Err("it has no list of its storages".to_owned());
    };
    let mut places = HashMap::new();
    for item in items {
        let storage = match &keys.heap[*item] {
            Object::Text(key) => storages.get(key.as_str()),
            _ => None,
        };
        let storage = storage.ok_or("its list of storages is another's")?;
        let start = at.saturating_add(8);
        let end = usize::try_from(storage.num_bytes()?)
            .ok()
            .and_then(|len| start.checked_add(len));
        let end = end.filter(|end| *end <= bytes.len());
        at = end.ok_or_else(|| format!("the file ends inside of storage {}", storage.key))?;
        if bytes[start - 8..start] != storage.num_values.to_le_bytes() {
            return Err(format!(
                "storage {} has another length than its tensors",
                storage.key
            ));
        }
        places.insert(storage.key.clone(), start..at);
    }
    Ok(places)
}
