//! What a pickle is made of. Objects refer to each other by number, so that one that contains itself is nothing special.

use tch::Kind;

/// Place of an object in the heap.
pub(crate) type Id = usize;

/// All objects of a pickle.
pub(crate) type Heap = Vec<Object>;

/// An object, as far as it matters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Object {
    Int(i64),
    Bool(bool),
    Text(String),
    /// A list or a tuple.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function: module and name.
    Global(String),
    Storage(Storage),
    Tensor(TensorRef),
    /// Something plain that no tensor needs: nothing, a fraction, bytes, a set.
    Plain,
    /// An object of this class, or what this function would give.
    Foreign(String),
}

/// Where the values of tensors lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) key: String,
    pub(crate) kind: Kind,
    pub(crate) num_values: u64,
}

/// A view of a storage. Nothing is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorRef {
    pub(crate) storage: Storage,
    pub(crate) offset: i64,
    pub(crate) size: Vec<i64>,
    pub(crate) stride: Vec<i64>,
}

impl Storage {
    /// Its length in bytes.
    pub(crate) fn num_bytes(&self) -> Result<u64, String> {
        let width = self.kind.elt_size_in_bytes() as u64;
        let length = self.num_values.checked_mul(width);
        length.ok_or_else(|| format!("storage {} is longer than any file", self.key))
    }
}
