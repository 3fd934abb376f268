//! The splits that a source may have.

/// The split of a source without split folders.
pub(crate) const TRAIN: &str = "train";
/// The split for validation.
pub(crate) const VAL: &str = "val";
/// What may lie beside them, and is not packed.
pub(super) const TEST: &str = "test";
