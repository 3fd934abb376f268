//! Attaching: connect to the daemon, else start one and connect to that.
//!
//! Several processes may do so at once. Those with the same log take turns; of others, whose daemons start beside each other, one gets the
//! socket, and its rivals, which find it taken, end. So does one whose forerunner is just ending and lets nobody in; then it is tried again.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use loader_ipc::{Client, DaemonStatus, IpcError, default_socket};

use crate::data_set::{are_same, check_packed};
use crate::error::AttachError;
use crate::program::{Log, Program};

/// How long a loader may take until it answers; it maps and checks every shard first.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What is asked for.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Folders of the packed data set.
    pub data: &'a [PathBuf],
    /// Where to look; the data set's own socket if it is not said.
    pub socket: Option<&'a Path>,
    /// What to start where nobody answers; without it that is an error.
    pub program: Option<&'a Program>,
    /// Where a loader that is started writes its log; beside its socket if it is not said.
    pub log: Option<&'a Path>,
    /// How long whoever listens may take for its answers.
    pub timeout: Duration,
}

/// A use of the daemon, until dropped.
#[derive(Debug)]
pub struct Attached {
    socket: PathBuf,
    status: DaemonStatus,
    started: Option<PathBuf>,
    is_wanted_data: bool,
    /// The sign that we are here.
    _client: Client,
}

/// Finds or starts a loader. While it waits, `go_on` is asked now and then whether to wait on.
///
/// # Errors
/// When the data set is not packed, or no loader comes up.
pub fn attach(
    wanted: &Wanted<'_>,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Attached, AttachError> {
    let socket = match wanted.socket {
        Some(socket) => socket.to_owned(),
        None => default_socket(wanted.data),
    };
    let log = match wanted.log {
        Some(log) => log.to_owned(),
        None => socket.with_extension("log"),
    };
    let mut search = Search {
        wanted,
        socket,
        log,
        deadline: Instant::now() + START_TIMEOUT,
        go_on,
    };
    loop {
        if let Some(client) = search.connect()? {
            return search.attached(client, false);
        }
        if let Some(client) = search.start()? {
            return search.attached(client, true);
        }
        search.wait()?;
    }
}

struct Search<'a> {
    wanted: &'a Wanted<'a>,
    socket: PathBuf,
    log: PathBuf,
    deadline: Instant,
    go_on: &'a mut dyn FnMut() -> bool,
}

impl Search<'_> {
    /// `None` where nobody answers, or one that is just ending.
    fn connect(&self) -> Result<Option<Client>, AttachError> {
        match Client::connect(&self.socket, self.wanted.timeout) {
            Ok(client) => Ok(Some(client)),
            Err(IpcError::NoDaemon { .. }) if self.wanted.program.is_some() => Ok(None),
            Err(IpcError::HungUp { .. }) if Instant::now() < self.deadline => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Starts a daemon; `None` if somebody else is doing so, or one that is ending is in its way.
    fn start(&mut self) -> Result<Option<Client>, AttachError> {
        let Some(program) = self.wanted.program else {
            return Ok(None);
        };
        self.wanted
            .data
            .iter()
            .try_for_each(|dir| check_packed(dir))?;
        let Some(log) = Log::take(&self.log)? else {
            return Ok(None);
        };
        // Whose turn it was before us may have started one.
        if let Some(client) = self.connect()? {
            return Ok(Some(client));
        }
        let mut daemon = program.start(self.wanted.data, &self.socket, &log)?;
        let answer = self.wait_for(&mut daemon, &log);
        match answer {
            Ok(_) => leave_to_itself(daemon),
            // It is ours alone yet. If it has ended, the better.
            Err(_) => drop(daemon.kill().and_then(|()| daemon.wait())),
        }
        answer
    }

    fn wait_for(&mut self, daemon: &mut Child, log: &Log) -> Result<Option<Client>, AttachError> {
        loop {
            let ended = daemon.try_wait();
            // Also after its end: it may have ended because another one was faster.
            if let Some(client) = self.connect()? {
                return Ok(Some(client));
            }
            match ended {
                // It was not needed.
                Ok(Some(status)) if status.success() => return Ok(None),
                Ok(Some(status)) => {
                    let (log, last_lines) = (log.path().to_owned(), log.last_lines());
                    return Err(AttachError::Died {
                        status,
                        log,
                        last_lines,
                    });
                }
                _ => self.wait()?,
            }
        }
    }

    fn wait(&mut self) -> Result<(), AttachError> {
        if !(self.go_on)() {
            return Err(AttachError::Interrupted);
        }
        if Instant::now() >= self.deadline {
            let (socket, log) = (self.socket.clone(), self.log.clone());
            return Err(AttachError::Silent { socket, log });
        }
        thread::sleep(POLL_INTERVAL);
        Ok(())
    }

    fn attached(self, client: Client, is_started: bool) -> Result<Attached, AttachError> {
        let status = client.status()?;
        Ok(Attached {
            is_wanted_data: are_same(&status.data, self.wanted.data),
            started: is_started.then_some(self.log),
            socket: self.socket,
            status,
            _client: client,
        })
    }
}

impl Attached {
    /// Where to subscribe.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Process id of the daemon.
    pub fn pid(&self) -> i32 {
        self.status.pid
    }

    /// Folders that it serves.
    pub fn data(&self) -> &[String] {
        &self.status.data
    }

    /// Whether they are those that were wanted; a socket that was named may belong to others.
    pub fn is_wanted_data(&self) -> bool {
        self.is_wanted_data
    }

    /// This, unless it serves other folders than `wanted`.
    ///
    /// # Errors
    /// [`AttachError::OtherData`]
    pub fn serving(self, wanted: &[PathBuf]) -> Result<Attached, AttachError> {
        match self.is_wanted_data {
            true => Ok(self),
            false => Err(AttachError::OtherData {
                socket: self.socket,
                served: self.status.data,
                wanted: wanted.to_owned(),
            }),
        }
    }

    /// The log of the daemon, if this started it.
    pub fn log(&self) -> Option<&Path> {
        self.started.as_deref()
    }

    /// One line about who answers.
    pub fn line(&self) -> String {
        let pid = self.pid();
        let data = self.data().join(", ");
        match &self.started {
            Some(log) => format!("started pid {pid} for {data}; its log: {}", log.display()),
            None => format!("pid {pid} at {}, serving {data}", self.socket.display()),
        }
    }
}

/// Its end is nobody's concern any more, but somebody has to take note of it.
fn leave_to_itself(mut daemon: Child) {
    let reap = move || drop(daemon.wait());
    // Without a thread an entry in the table of processes stays until we end.
    drop(thread::Builder::new().name("loader".into()).spawn(reap));
}

#[cfg(test)]
mod tests {
    use std::fs;

    use loader_ipc::ErrorKind;

    use super::*;

    /// A packed folder, as far as can be seen from outside, and a shell script in place of the loader.
    fn attach_to(script: &str, go_on: bool) -> AttachError {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("manifest.json"), "{}").unwrap();
        let program = Program {
            path: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
        };
        let wanted = Wanted {
            data: &[dir.path().to_owned()],
            socket: Some(&dir.path().join("a/loader.sock")),
            program: Some(&program),
            log: None,
            timeout: Duration::from_secs(10),
        };
        attach(&wanted, &mut || go_on).unwrap_err()
    }

    #[test]
    fn a_loader_that_ends_at_its_start_is_told_in_its_own_words_and_kind() {
        let error = attach_to("echo one; echo 'error[3]: rot' >&2; exit 3", true);
        assert_eq!(error.kind(), ErrorKind::Data);
        let told = error.to_string();
        for words in ["ended at its start", "loader.log", "error[3]: rot"] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }

    #[test]
    fn whoever_waits_may_give_up_and_leaves_no_process() {
        let error = attach_to("exec sleep 600", false);
        assert!(matches!(error, AttachError::Interrupted), "{error}");
    }

    #[test]
    fn what_is_missing_is_told_before_anything_is_started() {
        let dir = tempfile::tempdir().unwrap();
        let (bare, missing) = (dir.path().to_owned(), dir.path().join("missing"));
        let program = Program {
            path: missing.clone(),
            args: Vec::new(),
        };
        let to = |data: &Path, program| {
            let wanted = Wanted {
                data: &[data.to_owned()],
                socket: Some(&dir.path().join("loader.sock")),
                program,
                log: None,
                timeout: Duration::from_secs(10),
            };
            attach(&wanted, &mut || true).unwrap_err()
        };
        let with = Some(&program);
        assert!(matches!(to(&missing, with), AttachError::NoFolder { .. }));
        assert!(matches!(to(&bare, with), AttachError::NotPacked { .. }));
        let nobody = to(&bare, None);
        assert!(
            matches!(nobody, AttachError::Ipc(IpcError::NoDaemon { .. })),
            "{nobody}"
        );
        fs::write(bare.join("manifest.json"), "{}").unwrap();
        assert!(matches!(to(&bare, with), AttachError::NoProgram { .. }));
        assert!(!dir.path().join("loader.sock").exists());
    }

    #[test]
    fn of_those_with_one_log_one_starts_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/loader.log");
        let first = Log::take(&path).unwrap();
        assert!(first.is_some() && Log::take(&path).unwrap().is_none());
        drop(first);
        assert!(Log::take(&path).unwrap().is_some());
    }
}
