//! The trainer's own files, in a module of the name that they know.

#[path = "../../../src/pretrained/pth/legacy.rs"]
mod legacy;
#[path = "../../../src/pretrained/pickle/mod.rs"]
mod pickle;

use pickle::object::Object;

pub fn read(bytes: &[u8]) {
    if let Ok(found) = pickle::machine::read(bytes) {
        assert!(found.num_bytes <= bytes.len() && found.heap.len() <= found.num_bytes);
        assert!(found.root < found.heap.len());
    }
    let Ok(file) = legacy::Legacy::open(bytes.to_vec()) else {
        return;
    };
    for object in &file.pickle().heap {
        if let Object::Storage(storage) = object
            && let Ok(values) = file.storage(storage)
        {
            assert_eq!(values.len() as u64, storage.num_bytes().unwrap());
        }
    }
}
