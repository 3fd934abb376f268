//! A use of a daemon.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use loader_client::{Attached, Program, Wanted, attach};
use loader_ipc::Client;
use pyo3::prelude::*;

use crate::errors;

/// How long a daemon may take to tell how it is.
const STATUS_TIMEOUT: Duration = Duration::from_secs(10);

/// Holds a daemon: one that was started ends when its last user lets go.
#[pyclass(frozen, module = "sslight_loader._native")]
pub(crate) struct Daemon {
    socket: PathBuf,
    pid: i32,
    line: String,
    is_started: bool,
    attached: Mutex<Option<Attached>>,
}

#[pymethods]
impl Daemon {
    /// Finds the daemon of `data`, or starts `program` (which may be empty, then nothing is started).
    #[new]
    fn new(
        py: Python<'_>,
        data: Vec<PathBuf>,
        socket: Option<PathBuf>,
        program: Vec<String>,
    ) -> PyResult<Daemon> {
        let program = program.split_first().map(|(path, args)| Program {
            path: path.into(),
            args: args.iter().map(Into::into).collect(),
        });
        let wanted = Wanted {
            data: &data,
            socket: socket.as_deref(),
            program: program.as_ref(),
            log: None,
            timeout: STATUS_TIMEOUT,
        };
        let mut interrupted = None;
        let found = py.detach(|| {
            attach(&wanted, &mut || {
                let asked = Python::attach(|py| py.check_signals());
                interrupted = asked.err();
                interrupted.is_none()
            })
        });
        if let Some(error) = interrupted {
            return Err(error);
        }
        let attached = found.and_then(|attached| attached.serving(&data));
        let attached = attached.map_err(|error| errors::attach(&error))?;
        Ok(Daemon {
            socket: attached.socket().to_owned(),
            pid: attached.pid(),
            line: attached.line(),
            is_started: attached.log().is_some(),
            attached: Mutex::new(Some(attached)),
        })
    }

    /// Lets go of it.
    fn close(&self) {
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        drop(attached.take());
    }

    /// What it says of itself and its subscribers, JSON.
    fn status(&self, py: Python<'_>) -> PyResult<String> {
        let asked = py.detach(|| Client::connect(&self.socket, STATUS_TIMEOUT)?.status());
        let status = asked.map_err(|error| errors::ipc(&error))?;
        Ok(serde_json::to_string(&status).expect("a status is plain data"))
    }

    /// Where it listens.
    #[getter]
    fn socket(&self) -> String {
        self.socket.display().to_string()
    }

    /// Its process id.
    #[getter]
    fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether this started it.
    #[getter]
    fn is_started(&self) -> bool {
        self.is_started
    }

    fn __repr__(&self) -> &str {
        &self.line
    }
}
