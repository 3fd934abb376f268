//! A stream of batches.
//!
//! The rule for arrays that are kept: when a batch is asked for, the one before it is past, and none of its arrays can be looked into any more.
//! What was already handed out of them (a NumPy array, a tensor) keeps the slot, since the variables of a loop live until their next
//! assignment; but it must be gone when the batch after next is asked for. So at most two slots are ever held, and no stream waits for a slot
//! that its own user holds.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use loader_card::{Held, Reader};
use loader_ipc::{ErrorKind, IpcError, Recipe, StreamInfo, Subscription};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use crate::batch::Batch;
use crate::data_set;
use crate::errors;
use crate::memory::Slot;

/// How long the interpreter may wait to hear of Ctrl-C.
const SLICE: Duration = Duration::from_millis(100);

/// A subscription.
#[pyclass(frozen, module = "sslight_loader._native")]
pub(crate) struct Stream {
    state: Mutex<State>,
    is_closed: AtomicBool,
    pid: u32,
    timeout: Duration,
    is_copy: bool,
    info: StreamInfo,
    not_on_card: Option<String>,
}

struct State {
    reader: Option<Reader>,
    /// The batch that was handed out last.
    current: Option<Arc<Slot>>,
    /// What is kept of the one before it.
    kept: Weak<Held>,
}

#[pymethods]
impl Stream {
    /// Subscribes at `socket` with `subscription`, JSON; for views in memory of CUDA's device `device` if there is one named.
    #[new]
    #[pyo3(signature = (socket, subscription, data, timeout, copy, device=None))]
    fn new(
        py: Python<'_>,
        socket: &str,
        subscription: &str,
        data: Vec<String>,
        timeout: f64,
        copy: bool,
        device: Option<usize>,
    ) -> PyResult<Stream> {
        if copy && device.is_some() {
            let what = "copy=True copies in main memory".to_owned();
            let remedy = "copy what you keep on the card (x.torch().clone())";
            return Err(errors::UsageError::new_err((what, String::new(), remedy)));
        }
        let mut subscription = parse(subscription)?;
        let timeout = seconds(timeout)?;
        let card = py.detach(|| device.map(loader_card::card_of_device).transpose());
        subscription.card = card.map_err(errors::by_kind)?;
        let subscribed = py.detach(|| Reader::subscribe(Path::new(socket), timeout, &subscription));
        let reader = subscribed.map_err(|error| refused(error, &subscription, &data))?;
        let info = reader.info().clone();
        let not_on_card = reader.not_on_card().map(ToString::to_string);
        let state = State {
            reader: Some(reader),
            current: None,
            kept: Weak::new(),
        };
        Ok(Stream {
            state: Mutex::new(state),
            is_closed: AtomicBool::new(false),
            pid: std::process::id(),
            timeout,
            is_copy: copy,
            info,
            not_on_card,
        })
    }

    /// The next batch; `None` after the last.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        self.check_open()?;
        let mut state = self.state(py);
        state.end_current(py)?;
        let Some(held) = self.receive(py, &mut state)? else {
            return Ok(None);
        };
        let (batch, slot) = Batch::new(py, held, self.is_copy)?;
        state.current = slot;
        Ok(Some(batch))
    }

    /// Ends the stream; who waits for a batch meanwhile is told.
    fn close(&self, py: Python<'_>) {
        self.is_closed.store(true, Ordering::Relaxed);
        if self.pid != std::process::id() {
            return;
        }
        let mut state = self.state(py);
        if let Some(slot) = state.current.take() {
            drop(slot.end());
        }
        let reader = state.reader.take();
        drop(state);
        py.detach(|| drop(reader));
    }

    /// In a forked child: lets go of the sockets, so that the daemon sees the parent's end.
    fn forget(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        // Where another thread of the parent held it nothing can be done.
        if let Ok(mut state) = self.state.try_lock() {
            drop(state.reader.take());
        }
    }

    /// Samples in an epoch, those left out at its end included.
    #[getter]
    fn num_samples(&self) -> u64 {
        self.info.num_samples
    }

    /// Batches of the whole stream.
    #[getter]
    fn num_batches(&self) -> u64 {
        self.info.num_batches
    }

    /// Batches per epoch.
    #[getter]
    fn steps_per_epoch(&self) -> u64 {
        self.info.steps_per_epoch
    }

    /// Names of the classes by label.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.info.classes.clone()
    }

    /// Slots of the ring.
    #[getter]
    fn num_slots(&self) -> u32 {
        self.info.geometry.num_slots
    }

    /// Why the views lie in main memory although a device was named.
    #[getter]
    fn not_on_card(&self) -> Option<&str> {
        self.not_on_card.as_deref()
    }

    /// Process id of the daemon.
    #[getter]
    fn loader_pid(&self) -> i32 {
        self.info.pid
    }
}

impl Stream {
    fn state(&self, py: Python<'_>) -> MutexGuard<'_, State> {
        let locked = self.state.lock_py_attached(py);
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    fn check_open(&self) -> PyResult<()> {
        if self.pid != std::process::id() {
            return Err(errors::ipc(&IpcError::Forked { pid: self.pid }));
        }
        match self.is_closed.load(Ordering::Relaxed) {
            true => Err(closed()),
            false => Ok(()),
        }
    }

    fn receive(&self, py: Python<'_>, state: &mut State) -> PyResult<Option<Held>> {
        let reader = state.reader.as_mut().ok_or_else(closed)?;
        let start = Instant::now();
        loop {
            let left = self.timeout.saturating_sub(start.elapsed());
            match py.detach(|| reader.receive(left.min(SLICE))) {
                Err(error @ IpcError::TimedOut { .. }) => {
                    py.check_signals()?;
                    self.check_open()?;
                    if start.elapsed() >= self.timeout {
                        return Err(errors::ipc(&error.having_waited(self.timeout)));
                    }
                }
                received => return received.map_err(|error| errors::ipc(&error)),
            }
        }
    }
}

impl State {
    /// The batch that was handed out last is past; what is kept of the one before it is too much.
    fn end_current(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.kept.strong_count() > 0 {
            // It may be in a circle, such as that of an exception and its frame.
            py.import("gc")?.call_method0("collect")?;
        }
        if let Some(held) = self.kept.upgrade() {
            return Err(kept(held.lease()));
        }
        let held = self.current.take().and_then(|slot| slot.end());
        self.kept = held.as_ref().map_or_else(Weak::new, Arc::downgrade);
        Ok(())
    }
}

fn kept(lease: &loader_ipc::Lease) -> PyErr {
    let what = "an array is kept past its batch, whose slot of the ring it holds".to_owned();
    let place = format!("epoch {}, step {}", lease.epoch(), lease.step());
    let remedy = "copy what you keep (numpy.array(x), x.clone()), or subscribe with copy=True";
    errors::ArrayKeptError::new_err((what, place, remedy))
}

fn closed() -> PyErr {
    errors::StreamClosedError::new_err(("this stream is closed", String::new(), "subscribe again"))
}

fn parse(subscription: &str) -> PyResult<Subscription> {
    let parsed: Result<Subscription, _> = serde_json::from_str(subscription);
    let parsed = parsed.map_err(|error| {
        errors::UsageError::new_err((
            format!("bad subscription: {error}"),
            String::new(),
            "see the types of subscribe()",
        ))
    })?;
    check(&parsed.recipe)?;
    Ok(parsed)
}

fn check(recipe: &Recipe) -> PyResult<()> {
    let checked = recipe.check();
    checked.map_err(|reason| errors::RecipeError::new_err(errors::words(reason)))
}

/// The daemon's words, in the class for what is wrong as far as the data set tells.
fn refused(error: IpcError, subscription: &Subscription, data: &[String]) -> PyErr {
    let IpcError::Refused(reason) = error else {
        return errors::ipc(&error);
    };
    let words = errors::words(reason.clone());
    match data_set::judge(subscription, data) {
        data_set::Verdict::NoSuchSplit => errors::SplitError::new_err(words),
        data_set::Verdict::TooFewSamples if reason.kind == ErrorKind::Data => {
            errors::BatchSizeError::new_err(words)
        }
        _ => errors::by_kind(reason),
    }
}

fn seconds(timeout: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(timeout).map_err(|error| {
        errors::UsageError::new_err((
            format!("timeout {timeout}: {error}"),
            String::new(),
            "give seconds",
        ))
    })
}

/// Raises `RecipeError` unless `recipe`, JSON, is sound.
#[pyfunction]
pub(crate) fn check_recipe(recipe: &str) -> PyResult<()> {
    let parsed: Result<Recipe, _> = serde_json::from_str(recipe);
    let parsed = parsed.map_err(|error| {
        errors::RecipeError::new_err((
            format!("bad recipe: {error}"),
            String::new(),
            "see sslight_loader.views",
        ))
    })?;
    check(&parsed)
}

/// The recipe of this name as JSON, as other programs know it.
#[pyfunction]
pub(crate) fn named_recipe(name: &str) -> PyResult<String> {
    let recipe = Recipe::named(name);
    let recipe = recipe.map_err(|reason| errors::RecipeError::new_err(errors::words(reason)))?;
    Ok(serde_json::to_string(&recipe).expect("a recipe is plain data"))
}
