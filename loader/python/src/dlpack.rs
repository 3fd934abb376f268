//! DLPack: an array as a capsule that NumPy, torch, JAX and others take without a copy (version 1.0 of the standard, and the one before it, which
//! cannot say that memory is read-only).
//!
//! The capsule holds the memory until whoever took it is done. One of the two rooms of this crate with unsafe code.

use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

use pyo3::ffi;
use pyo3::prelude::*;

use crate::memory::{Device, Memory};

const READ_ONLY: u64 = 1;
const IS_COPIED: u64 = 2;

/// Shape, in elements, and where they lie.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) memory: Memory,
    pub(crate) shape: Vec<i64>,
    /// Distances in elements.
    pub(crate) strides: Vec<i64>,
    pub(crate) element: Element,
}

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    /// `uint8`.
    U8,
    /// `int64`.
    I64,
}

#[repr(C)]
struct DlTensor {
    data: *mut c_void,
    device: Device,
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensor`.
#[repr(C)]
struct Legacy {
    tensor: DlTensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Legacy)>,
}

/// `DLManagedTensorVersioned`.
#[repr(C)]
struct Versioned {
    version: (u32, u32),
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Versioned)>,
    flags: u64,
    tensor: DlTensor,
}

/// What a capsule points to; the consumer sees `managed` alone.
#[repr(C)]
struct Exported<M> {
    managed: M,
    tensor: Tensor,
}

impl Element {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Element::U8 => 1,
            Element::I64 => 8,
        }
    }

    /// As NumPy calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Element::U8 => "uint8",
            Element::I64 => "int64",
        }
    }
}

/// A capsule of `tensor`, of the version that its taker understands.
pub(crate) fn capsule(
    py: Python<'_>,
    tensor: Tensor,
    is_versioned: bool,
    is_copied: bool,
) -> PyResult<Bound<'_, PyAny>> {
    match is_versioned {
        true => wrap(
            py,
            versioned(tensor, is_copied),
            c"dltensor_versioned",
            end_versioned,
        ),
        false => wrap(py, legacy(tensor), c"dltensor", end_legacy),
    }
}

fn versioned(tensor: Tensor, is_copied: bool) -> *mut Exported<Versioned> {
    let read_only = match tensor.memory.is_read_only() {
        true => READ_ONLY,
        false => 0,
    };
    let managed = Versioned {
        version: (1, 0),
        context: ptr::null_mut(),
        deleter: Some(delete::<Versioned>),
        flags: read_only | if is_copied { IS_COPIED } else { 0 },
        tensor: described(&tensor),
    };
    Box::into_raw(Box::new(Exported { managed, tensor }))
}

fn legacy(tensor: Tensor) -> *mut Exported<Legacy> {
    let managed = Legacy {
        tensor: described(&tensor),
        context: ptr::null_mut(),
        deleter: Some(delete::<Legacy>),
    };
    Box::into_raw(Box::new(Exported { managed, tensor }))
}

/// Points into the vectors of `tensor`, which move no element when they are moved themselves.
fn described(tensor: &Tensor) -> DlTensor {
    let (code, bits) = match tensor.element {
        Element::U8 => (1, 8),
        Element::I64 => (0, 64),
    };
    DlTensor {
        data: tensor.memory.ptr().cast(),
        device: tensor.memory.device(),
        ndim: tensor.shape.len() as i32,
        code,
        bits,
        lanes: 1,
        shape: tensor.shape.as_ptr().cast_mut(),
        strides: tensor.strides.as_ptr().cast_mut(),
        byte_offset: 0,
    }
}

#[allow(unsafe_code)]
fn wrap<'py, M>(
    py: Python<'py>,
    exported: *mut Exported<M>,
    name: &'static CStr,
    end: unsafe extern "C" fn(*mut ffi::PyObject),
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: `exported` is not null, `name` lives for ever, and `end` takes a capsule of this name.
    let capsule = unsafe { ffi::PyCapsule_New(exported.cast(), name.as_ptr(), Some(end)) };
    if capsule.is_null() {
        // SAFETY: made by `Box::into_raw`, and no capsule has it.
        drop(unsafe { Box::from_raw(exported) });
    }
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, capsule) }
}

/// Called once by whoever took the tensor, with or without the interpreter's lock.
#[allow(unsafe_code)]
unsafe extern "C" fn delete<M>(managed: *mut M) {
    // SAFETY: `managed` is the first field of what `Box::into_raw` made, and the standard says that this is called once.
    drop(unsafe { Box::from_raw(managed.cast::<Exported<M>>()) });
}

#[allow(unsafe_code)]
unsafe extern "C" fn end_versioned(capsule: *mut ffi::PyObject) {
    end::<Versioned>(capsule, c"dltensor_versioned");
}

#[allow(unsafe_code)]
unsafe extern "C" fn end_legacy(capsule: *mut ffi::PyObject) {
    end::<Legacy>(capsule, c"dltensor");
}

/// A capsule goes; whoever took its tensor has renamed it, and will call the deleter himself.
#[allow(unsafe_code)]
fn end<M>(capsule: *mut ffi::PyObject, name: &CStr) {
    // SAFETY: Python calls this with the capsule that it destroys, and holds its lock.
    let is_ours = unsafe { ffi::PyCapsule_IsValid(capsule, name.as_ptr()) } == 1;
    if is_ours {
        // SAFETY: as above; a valid capsule of this name points to an `Exported<M>` that nobody took.
        let exported = unsafe { ffi::PyCapsule_GetPointer(capsule, name.as_ptr()) };
        if let Some(exported) = NonNull::new(exported.cast::<Exported<M>>()) {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(exported.as_ptr()) });
        }
    }
}
