//! A batch in Python's hands.

use std::sync::Arc;

use loader_card::Held;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::array::Array;
use crate::memory::Slot;

/// One batch: views, labels and ids of its samples, and where in the epochs it is.
#[pyclass(frozen, get_all, module = "sslight_loader")]
pub(crate) struct Batch {
    /// Epoch, from 0.
    epoch: u64,
    /// Step within the epoch, from 0.
    step: u64,
    /// Arrays `uint8 [num_views, batch, size, size, 3]`, one for each size of views.
    views: Py<PyTuple>,
    /// `int64 [batch]`, -1 where there is none.
    labels: Py<Array>,
    /// `int64 [batch]`, numbers of the samples in their split.
    ids: Py<Array>,
}

impl Batch {
    /// The batch of `held`, and the slot that it looks into unless it is a copy.
    pub(crate) fn new(
        py: Python<'_>,
        held: Held,
        is_copy: bool,
    ) -> PyResult<(Batch, Option<Arc<Slot>>)> {
        let lease = held.lease();
        let (epoch, step, num_valid) = (lease.epoch(), lease.step(), lease.num_valid());
        let numbers = |numbers: Vec<i64>, what: &str| {
            let name = format!("{what} of epoch {epoch}, step {step}");
            Py::new(py, Array::numbers(numbers.into_iter(), num_valid, &name))
        };
        let labels = numbers(lease.labels(), "labels")?;
        let ids = lease
            .sample_ids()
            .into_iter()
            .map(u64::cast_signed)
            .collect();
        let ids = numbers(ids, "ids")?;
        if let Held::Card(batch) = &held {
            // Whoever takes an array will say for which stream.
            batch.read_by_nobody();
        }
        let held = Arc::new(held);
        let slot = Arc::new(Slot::new(Arc::clone(&held)));
        let group = |index: usize| {
            let shape = held.lease().group(index).shape();
            let name = format!("views of epoch {epoch}, step {step}");
            let array = Array::views(&slot, index, shape, num_valid, name);
            match is_copy {
                true => py.detach(|| array.into_copy()),
                false => Ok(array),
            }
        };
        let views: Vec<Array> = (0..held.lease().num_groups())
            .map(group)
            .collect::<PyResult<_>>()?;
        let views = PyTuple::new(py, views)?.unbind();
        let batch = Batch {
            epoch,
            step,
            views,
            labels,
            ids,
        };
        Ok((batch, (!is_copy).then_some(slot)))
    }
}

#[pymethods]
impl Batch {
    /// Number of samples.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.ids.bind(py).as_any().len()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let views = self.views.bind(py).repr()?;
        Ok(format!(
            "<Batch epoch {}, step {}: {views}>",
            self.epoch, self.step
        ))
    }
}
