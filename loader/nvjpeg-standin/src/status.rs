//! NVIDIA's numbers for what went wrong.

pub(crate) const INVALID_PARAMETER: u32 = 2;
pub(crate) const BAD_JPEG: u32 = 3;
pub(crate) const JPEG_NOT_SUPPORTED: u32 = 4;
pub(crate) const ALLOCATOR_FAILURE: u32 = 5;
pub(crate) const EXECUTION_FAILED: u32 = 6;
pub(crate) const ARCH_MISMATCH: u32 = 7;
pub(crate) const INCOMPLETE_BITSTREAM: u32 = 10;
