//! An array in Python: shape, element and memory, handed out by the buffer protocol and by DLPack.
//!
//! It can be looked into as long as its batch is the current one. What was handed out keeps its memory.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::dlpack::{self, Element, Tensor};
use crate::errors::ArrayReleasedError;
use crate::memory::{CPU, Device, Memory, Slot};

/// What DLPack means by no stream on NVIDIA's cards.
const DEFAULT_STREAM: usize = 1;

/// `uint8` or `int64` numbers that NumPy, torch and JAX take without a copy.
#[pyclass(frozen, module = "sslight_loader")]
pub(crate) struct Array {
    source: Source,
    shape: Vec<i64>,
    strides: Vec<i64>,
    element: Element,
    /// For messages.
    name: String,
}

enum Source {
    /// A group of views in the ring.
    Ring(Arc<Slot>, usize),
    Own(Memory),
}

/// What an exported buffer points to.
struct Exported {
    shape: Vec<isize>,
    strides: Vec<isize>,
    _memory: Memory,
}

impl Array {
    /// Group `group` of the views in `slot`: the first `num_valid` of `shape`'s `[num_views, batch, size, size, 3]`.
    pub(crate) fn views(
        slot: &Arc<Slot>,
        group: usize,
        shape: [usize; 5],
        num_valid: usize,
        name: String,
    ) -> Array {
        let mut shape = shape.map(|side| side as i64);
        let strides = contiguous(&shape);
        shape[1] = num_valid as i64;
        Array {
            source: Source::Ring(Arc::clone(slot), group),
            shape: shape.to_vec(),
            strides,
            element: Element::U8,
            name,
        }
    }

    /// The same in memory of its own.
    pub(crate) fn into_copy(self) -> PyResult<Array> {
        let memory = self.memory()?.copied();
        let source = Source::Own(memory);
        Ok(Array { source, ..self })
    }

    /// 64-bit numbers.
    pub(crate) fn numbers(numbers: impl Iterator<Item = i64>, len: usize, name: &str) -> Array {
        let memory = Memory::of(numbers.take(len).map(i64::cast_unsigned));
        Array {
            source: Source::Own(memory),
            shape: vec![len as i64],
            strides: vec![1],
            element: Element::I64,
            name: name.to_owned(),
        }
    }

    fn memory(&self) -> PyResult<Memory> {
        match &self.source {
            Source::Own(memory) => Ok(memory.clone()),
            Source::Ring(slot, group) => match slot.held() {
                Some(held) => Ok(Memory::Ring(held, *group)),
                None => Err(self.released()),
            },
        }
    }

    fn released(&self) -> PyErr {
        let what = "an array is used after its batch was released".to_owned();
        let remedy = "use a batch before the next one is asked for, copy what you keep (numpy.array(x)), or subscribe with copy=True";
        ArrayReleasedError::new_err((what, self.name.clone(), remedy.to_owned()))
    }

    fn tensor(&self) -> PyResult<Tensor> {
        Ok(Tensor {
            memory: self.memory()?,
            shape: self.shape.clone(),
            strides: self.strides.clone(),
            element: self.element,
        })
    }

    fn len(&self) -> usize {
        self.shape.iter().product::<i64>() as usize
    }

    /// What Python is told of the memory.
    fn fill(&self, view: &mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let memory = self.memory()?;
        if memory.device() != CPU {
            return Err(on_card());
        }
        let asks = |flag| flags & flag == flag;
        if asks(ffi::PyBUF_WRITABLE) && memory.is_read_only() {
            return Err(PyBufferError::new_err(
                "these views are read-only; subscribe with copy=True to write into them",
            ));
        }
        let is_contiguous = self.strides == contiguous(&self.shape);
        let wants_contiguous = asks(ffi::PyBUF_C_CONTIGUOUS)
            || asks(ffi::PyBUF_ANY_CONTIGUOUS)
            || !asks(ffi::PyBUF_STRIDES);
        if asks(ffi::PyBUF_F_CONTIGUOUS) || wants_contiguous && !is_contiguous {
            return Err(PyBufferError::new_err(
                "this array has no such layout; copy it first (numpy.array(x))",
            ));
        }
        let bytes = self.element.bytes();
        view.buf = memory.ptr().cast();
        let mut exported = Box::new(Exported {
            shape: self.shape.iter().map(|side| *side as isize).collect(),
            strides: self
                .strides
                .iter()
                .map(|step| *step as isize * bytes as isize)
                .collect(),
            _memory: memory.clone(),
        });
        let given = |flag, array: &mut Vec<isize>| {
            if asks(flag) {
                array.as_mut_ptr()
            } else {
                ptr::null_mut()
            }
        };
        let format = match self.element {
            Element::U8 => c"B",
            Element::I64 => c"q",
        };
        view.len = (self.len() * bytes) as isize;
        view.itemsize = bytes as isize;
        view.readonly = memory.is_read_only().into();
        view.ndim = self.shape.len() as c_int;
        view.format = if asks(ffi::PyBUF_FORMAT) {
            format.as_ptr().cast_mut()
        } else {
            ptr::null_mut()
        };
        view.shape = given(ffi::PyBUF_ND, &mut exported.shape);
        view.strides = given(ffi::PyBUF_STRIDES, &mut exported.strides);
        view.suboffsets = ptr::null_mut();
        view.internal = Box::into_raw(exported).cast::<c_void>();
        Ok(())
    }
}

#[pymethods]
impl Array {
    /// Sides, outermost first.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.shape)
    }

    /// `uint8` or `int64`, as NumPy calls it.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.element.name()
    }

    /// As a NumPy array, without a copy.
    fn numpy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let numpy = slf.py().import("numpy")?;
        numpy.call_method1("asarray", (slf,))
    }

    /// As a torch tensor, without a copy.
    fn torch<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let torch = slf.py().import("torch")?;
        torch.call_method1("from_dlpack", (slf,))
    }

    /// The numbers as lists of lists.
    fn tolist<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let memory = slf
            .py()
            .import("builtins")?
            .call_method1("memoryview", (slf,))?;
        memory.call_method0("tolist")
    }

    fn __len__(&self) -> usize {
        self.shape[0] as usize
    }

    fn __repr__(&self) -> String {
        format!(
            "<Array {} {:?} {}>",
            self.element.name(),
            self.shape,
            self.name
        )
    }

    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut tensor = self.tensor()?;
        let device = tensor.memory.device();
        if dl_device.is_some_and(|wanted| wanted != device) {
            let words = format!("this array lies on device {device:?}; take it there first");
            return Err(PyBufferError::new_err(words));
        }
        let is_copied = copy == Some(true);
        match (device, is_copied) {
            (CPU, false) => {}
            (CPU, true) => tensor.memory = py.detach(|| tensor.memory.copied()),
            (_, false) => tensor.memory.read_by(reading(stream.as_ref())?),
            (_, true) => {
                let words = "these views lie in memory of a card; take them and copy them there (x.torch().clone())";
                return Err(PyBufferError::new_err(words));
            }
        }
        let is_versioned = max_version.is_some_and(|(major, _)| major >= 1);
        dlpack::capsule(py, tensor, is_versioned, is_copied)
    }

    fn __dlpack_device__(&self) -> PyResult<Device> {
        Ok(self.memory()?.device())
    }

    /// For NumPy functions that take what is no array.
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let view = slf
            .py()
            .import("builtins")?
            .call_method1("memoryview", (slf,))?;
        let arguments = PyDict::new(slf.py());
        arguments.set_item("dtype", dtype)?;
        arguments.set_item("copy", copy)?;
        slf.py()
            .import("numpy")?
            .call_method("array", (view,), Some(&arguments))
    }

    #[allow(unsafe_code)]
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        // SAFETY: Python hands over a buffer to fill, or null.
        let Some(view) = (unsafe { view.as_mut() }) else {
            return Err(PyBufferError::new_err("no buffer to fill"));
        };
        slf.get().fill(view, flags)?;
        view.obj = slf.into_any().into_ptr();
        Ok(())
    }

    #[allow(unsafe_code)]
    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: Python releases once what `fill` has filled, and `internal` is what it has put there.
        drop(unsafe { Box::from_raw((*view).internal.cast::<Exported>()) });
    }
}

/// The stream that a taker reads on, by its number; `None` where it does not say.
fn reading(stream: Option<&Bound<'_, PyAny>>) -> PyResult<Option<usize>> {
    let Some(stream) = stream.filter(|stream| !stream.is_none()) else {
        return Ok(Some(DEFAULT_STREAM));
    };
    match stream.extract::<i64>()? {
        -1 => Ok(None),
        0 => Err(PyBufferError::new_err(
            "stream 0 may be either of two; say 1 for the default stream, or -1 if it cannot be told",
        )),
        stream => Ok(Some(stream as usize)),
    }
}

fn on_card() -> PyErr {
    PyBufferError::new_err(
        "these views lie in memory of a card; take them there (x.torch(), or from_dlpack of your library), or subscribe with device=\"cpu\"",
    )
}

/// Distances, in elements, where all of an array lies in one piece.
fn contiguous(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}
