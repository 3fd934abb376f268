//! The loader at the other end of the socket: one that answers already, or one of our own for the length of the run.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::config::LoaderSettings;
use crate::failure::Failure;
use crate::output::{show, tell};
use crate::own_socket::{self, OwnSocket};
use loader_ipc::{Client, IpcError, default_socket};

/// How long our own loader may take until it answers; it maps and checks every shard first.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long our own loader may take to end once its standard input is closed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The file that makes a folder a packed one.
const MANIFEST: &str = "manifest.json";
/// Lines of our own loader's log that are shown when it fails.
const SHOWN_LINES: usize = 12;

/// A place where a loader answers.
#[derive(Debug)]
pub struct Loader {
    /// The socket.
    pub socket: PathBuf,
    /// One line about who answers there.
    pub line: String,
    /// Our own loader, if we started one; it ends when this is dropped.
    _own: Option<LoaderProcess>,
}

/// A loader process that ends with us: its standard input is a pipe that closes when we do, however we end.
#[derive(Debug)]
struct LoaderProcess {
    child: Child,
    log: PathBuf,
    /// Where the configuration names none.
    _socket: Option<OwnSocket>,
}

impl Loader {
    /// Finds the loader at `LOADER.SOCKET` (or the data set's own default), or starts one whose log goes to `log_dir`.
    ///
    /// # Errors
    /// When the data set is not packed, or the loader does not come up.
    pub fn find(
        data_dirs: &[PathBuf],
        settings: &LoaderSettings,
        log_dir: &Path,
    ) -> Result<Loader, Failure> {
        let named = settings.socket.clone();
        let socket = named.clone().unwrap_or_else(|| default_socket(data_dirs));
        match Client::connect(&socket, settings.timeout) {
            Ok(client) => Loader::with(&client, socket, data_dirs),
            Err(IpcError::NoDaemon { .. }) => Loader::start(data_dirs, named, log_dir),
            Err(error) => Err(error.into()),
        }
    }

    fn with(client: &Client, socket: PathBuf, data_dirs: &[PathBuf]) -> Result<Loader, Failure> {
        let status = client.status()?;
        let mut line = format!(
            "loader: pid {} at {}, serving {}",
            status.pid,
            socket.display(),
            status.data.join(", ")
        );
        if !are_same_folders(&status.data, data_dirs) {
            line += &format!(
                " (warning: not DATA.PATH_TO_DATA_DIR {}, which is not read)",
                shown(data_dirs)
            );
        }
        Ok(Loader {
            socket,
            line,
            _own: None,
        })
    }

    fn start(
        data_dirs: &[PathBuf],
        named: Option<PathBuf>,
        log_dir: &Path,
    ) -> Result<Loader, Failure> {
        data_dirs.iter().try_for_each(|dir| check_packed(dir))?;
        let (socket, own_socket) = match named {
            Some(socket) => (socket, None),
            None => {
                let own = choose_socket(&std::env::temp_dir())?;
                (own.path().to_owned(), Some(own))
            }
        };
        let log = log_dir.join("loader.log");
        let child = spawn(data_dirs, &socket, &log)?;
        let mut own = LoaderProcess {
            child,
            log,
            _socket: own_socket,
        };
        own.wait_until_it_answers(&socket)?;
        let line = format!(
            "loader: started pid {} for {}; its log: {}",
            own.child.id(),
            shown(data_dirs),
            own.log.display()
        );
        Ok(Loader {
            socket,
            line,
            _own: Some(own),
        })
    }
}

impl LoaderProcess {
    fn wait_until_it_answers(&mut self, socket: &Path) -> Result<(), Failure> {
        let start = Instant::now();
        loop {
            match Client::connect(socket, START_TIMEOUT) {
                Ok(_) => return Ok(()),
                Err(IpcError::NoDaemon { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.died(status));
            }
            if start.elapsed() > START_TIMEOUT {
                let what = format!("our loader did not answer within {START_TIMEOUT:?}");
                let log = self.log.display();
                return Err(Failure::Resources(format!("{what}; {log}; read its log")));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// The loader's own exit code tells which case it is; its last lines say what.
    fn died(&self, status: ExitStatus) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n  ");
        let message = format!(
            "the loader ended at its start ({status}); {}; it said:\n  {shown}",
            self.log.display()
        );
        match status.code() {
            Some(2) => Failure::Usage(message),
            Some(3) => Failure::Data(message),
            Some(5) => Failure::Library(message),
            _ => Failure::Resources(message),
        }
    }

    fn wait_for_end(&mut self) -> io::Result<()> {
        let start = Instant::now();
        while start.elapsed() < STOP_TIMEOUT {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }
}

impl Drop for LoaderProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.wait_for_end() {
            let pid = self.child.id();
            tell!("warning: our loader (pid {pid}) did not end: {error}");
        }
    }
}

fn choose_socket(folder: &Path) -> Result<OwnSocket, Failure> {
    let num_swept = own_socket::sweep(folder);
    if num_swept > 0 {
        let folder = folder.display();
        show!("note: removed {num_swept} sockets of dead loaders in {folder}");
    }
    OwnSocket::choose(folder)
}

/// Starts the loader beside this executable, in a process group of its own so that Ctrl-C reaches only us.
fn spawn(data_dirs: &[PathBuf], socket: &Path, log: &Path) -> Result<Child, Failure> {
    let binary = std::env::current_exe()
        .map(|exe| exe.with_file_name("loader"))
        .map_err(Failure::io("finding our own executable", log))?;
    if !binary.is_file() {
        return Err(Failure::Usage(format!(
            "no loader answers and there is none to start; {}; build it (cargo build --release -p loader) or start one and set LOADER.SOCKET",
            binary.display()
        )));
    }
    let output = File::create(log).map_err(Failure::io("writing the loader's log", log))?;
    let errors = output
        .try_clone()
        .map_err(Failure::io("writing the loader's log", log))?;
    Command::new(&binary)
        .arg("serve")
        .args(data_dirs)
        .arg("--socket")
        .arg(socket)
        .arg("--until-stdin-closes")
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(Failure::io("starting the loader", &binary))
}

fn check_packed(data_dir: &Path) -> Result<(), Failure> {
    let shown = data_dir.display();
    if !data_dir.is_dir() {
        return Err(Failure::Usage(format!(
            "no such folder; DATA.PATH_TO_DATA_DIR {shown}; give a folder made by `shard-tool pack`"
        )));
    }
    if data_dir.join(MANIFEST).is_file() {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "this folder is not packed (it has no {MANIFEST}); DATA.PATH_TO_DATA_DIR {shown}; run: shard-tool pack {shown} --out {shown}-shards, \
         then set DATA.PATH_TO_DATA_DIR {shown}-shards"
    )))
}

fn shown(dirs: &[PathBuf]) -> String {
    let shown = dirs.iter().map(|dir| dir.display().to_string());
    shown.collect::<Vec<_>>().join(", ")
}

fn are_same_folders(served: &[String], wanted: &[PathBuf]) -> bool {
    let mut pairs = served.iter().zip(wanted);
    served.len() == wanted.len() && pairs.all(|(one, other)| is_same_folder(Path::new(one), other))
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
