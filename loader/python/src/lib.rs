//! The native half of the Python package `sslight_loader`: streams of batches, their memory in Python's hands, and the programs that the package
//! brings along.
//!
//! It decides nothing that a user would want to change: defaults, names and iteration are the package's Python half. It knows no NumPy and no
//! torch; both take memory by Python's own protocols.

mod array;
mod batch;
mod daemon;
mod data_set;
mod dlpack;
mod errors;
mod memory;
mod programs;
mod stream;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::array::Array;
    #[pymodule_export]
    use crate::batch::Batch;
    #[pymodule_export]
    use crate::daemon::Daemon;
    #[pymodule_export]
    use crate::data_set::{DataSet, ViewParams};
    #[pymodule_export]
    use crate::programs::{loader, shard_tool};
    #[pymodule_export]
    use crate::stream::{Stream, check_recipe, named_recipe};
}
