//! The commands of `loader`: wire the rooms up, and turn every error into one line and an exit code.

use std::fmt;
use std::io::{self, Write};
use std::process;
use std::sync::{Arc, OnceLock};

use image::ImageError;
use loader_ipc::{ErrorKind, IpcError, Listener, Reason};
use shard_format::{FormatError, ReadOptions};

use crate::cli::{ParityArgs, PreviewArgs, ServeArgs, StatusArgs};
use crate::config::{ConfigError, ServeConfig, shown, socket_or_default};
use crate::daemon::Daemon;
use crate::pipeline;
use crate::preview::{self, PreviewError};
use crate::set_error;
use crate::shutdown::{Shutdown, Stop};
use crate::source::Shards;
use crate::status;

/// An error at the edge: one line for people, a code for scripts.
#[derive(Debug)]
pub struct Failure {
    kind: ErrorKind,
    message: String,
}

/// What every command needs first.
///
/// # Errors
/// When the system refuses it.
pub fn prepare() -> Result<(), Failure> {
    let outlived = signals::outlive_file_size_limit();
    Ok(outlived.map_err(IpcError::io("cannot take over a signal"))?)
}

/// A mapped shard that is cut short while it is read would else end the process without a word. A daemon that is `serving` tells its subscribers.
fn explain_lost_bytes(place: String, serving: Arc<OnceLock<Shutdown>>) -> Result<(), Failure> {
    let end = move || {
        let what = "a shard was cut short while it was read, or its disk failed";
        let remedy =
            "put the shard back as it was (shard-tool verify names it) and start the loader again";
        let reason = Reason::new(ErrorKind::Data, what, place, remedy);
        if let Some(shutdown) = serving.get() {
            return shutdown.trigger(Stop::Failed(reason));
        }
        let failure = Failure::from(reason);
        // The code tells it where standard error does not.
        let _ = writeln!(io::stderr(), "{failure}");
        process::exit(failure.exit_code().into());
    };
    Ok(signals::on_lost_bytes(end).map_err(IpcError::no_thread("lost bytes"))?)
}

/// `loader serve`.
///
/// # Errors
/// Whatever ended the daemon other than a request.
pub fn serve(args: ServeArgs) -> Result<(), Failure> {
    let config = ServeConfig::resolve(args)?;
    let serving = Arc::new(OnceLock::new());
    explain_lost_bytes(config.shown_data(), Arc::clone(&serving))?;
    let options = ReadOptions {
        allow_damaged: config.allow_damaged,
    };
    let shards = Shards::open(&config.data, options)?;
    let (shutdown, woken) = Shutdown::new();
    shutdown
        .on_signals()
        .map_err(IpcError::no_thread("signals"))?;
    let owner = format!("pid {} serving {}", process::id(), config.shown_data());
    let listener = match Listener::bind(&config.socket, &owner) {
        // Whoever started this one is served by the other.
        Err(error @ IpcError::SocketInUse { .. }) if config.until_unused => {
            tracing::info!("not needed: {error}");
            return Ok(());
        }
        bound => bound?,
    };
    listener.host_channels();
    if listener.removed_stale() {
        tracing::info!(
            "removed the socket of a dead loader: {}",
            config.socket.display()
        );
    }
    announce(&config, &shards)?;
    let engines = pipeline::choose(&config).map_err(|reason| {
        let option = match reason.kind {
            ErrorKind::Library => " (--decoder cpu)",
            _ => "",
        };
        Failure::new(reason.kind, format!("{reason}{option}"))
    })?;
    // From here on this thread reads no shard, so it is there to end the daemon in order.
    serving.get_or_init(|| shutdown.clone());
    let daemon = Daemon::new(config, shards, engines, shutdown);
    let stop = daemon
        .serve(listener, &woken)
        .map_err(IpcError::no_thread("accepting subscribers"))?;
    match stop {
        Stop::Asked(reason) => {
            tracing::info!("{reason}");
            Ok(())
        }
        Stop::OverBudget(reason) => Err(Failure::new(
            reason.kind,
            format!("{reason} (--max-bad-fraction)"),
        )),
        Stop::Failed(reason) => Err(reason.into()),
    }
}

/// `loader status`.
///
/// # Errors
/// When no daemon answers.
pub fn status(args: &StatusArgs) -> Result<(), Failure> {
    let status = status::fetch(&socket_or_default(args.socket.clone(), &args.data))?;
    let text = match args.json {
        true => serde_json::to_string(&status).expect("a status is plain data"),
        false => status::table(&status),
    };
    print_line(&text)
}

/// `loader preview`.
///
/// # Errors
/// When the data cannot be read or the picture cannot be written.
pub fn preview(args: &PreviewArgs) -> Result<(), Failure> {
    explain_lost_bytes(shown(&args.data), Arc::default())?;
    for line in preview::run(args)? {
        print_line(&line)?;
    }
    print_line(&args.out.display().to_string())
}

/// `loader parity`.
///
/// # Errors
/// When the data cannot be read, there is no card or no nvJPEG, or the card's pixels are others.
#[cfg(feature = "cuda")]
pub fn parity(args: &ParityArgs) -> Result<(), Failure> {
    use crate::parity;
    explain_lost_bytes(shown(&args.data), Arc::default())?;
    let report = parity::run(args)?;
    print_line(&match args.json {
        true => report.as_json().to_string(),
        false => report.as_text(),
    })?;
    report.failure().map_or(Ok(()), |reason| Err(reason.into()))
}

/// `loader parity`.
///
/// # Errors
/// Always: there is no card without CUDA.
#[cfg(not(feature = "cuda"))]
pub fn parity(_: &ParityArgs) -> Result<(), Failure> {
    Err(pipeline::without_cuda().into())
}

fn announce(config: &ServeConfig, shards: &Shards) -> Result<(), Failure> {
    for split in shards.split_names() {
        let set = shards.split(&split)?;
        tracing::info!(
            "split {split}: {} samples, {} classes",
            set.num_samples(),
            set.classes().len()
        );
    }
    tracing::info!(
        "serving {} at {} with {} threads (cores this process may use; --workers N)",
        config.shown_data(),
        config.socket.display(),
        config.num_workers
    );
    Ok(())
}

/// Writes a result; a reader that went away (`| head`) is no error.
fn print_line(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            ErrorKind::Resources,
            format!("cannot write the result: {error}"),
        )),
        _ => Ok(()),
    }
}

impl Failure {
    fn new(kind: ErrorKind, message: String) -> Failure {
        Failure { kind, message }
    }

    /// Exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            ErrorKind::Usage => 2,
            ErrorKind::Data => 3,
            ErrorKind::Resources => 4,
            ErrorKind::Library => 5,
            ErrorKind::PeerLost => 6,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.exit_code(), self.message)
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Failure {
        Failure::new(reason.kind, reason.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::new(ErrorKind::Usage, error.to_string())
    }
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Failure {
        set_error::reason(&error).into()
    }
}

impl From<IpcError> for Failure {
    fn from(error: IpcError) -> Failure {
        let option = match &error {
            IpcError::NoDaemon { socket } => {
                format!(": loader serve SHARDS --socket {}", socket.display())
            }
            IpcError::BadSocket { .. } | IpcError::SocketInUse { .. } => {
                " (--socket PATH)".to_owned()
            }
            _ => String::new(),
        };
        Failure::new(error.kind(), format!("{error}{option}"))
    }
}

impl From<PreviewError> for Failure {
    fn from(error: PreviewError) -> Failure {
        let option = match &error {
            PreviewError::Write {
                source: ImageError::IoError(error),
                ..
            } if error.kind() == io::ErrorKind::FileTooLarge => " or allow larger ones (ulimit -f)",
            PreviewError::Write { .. } => " (--out FILE)",
            _ => "",
        };
        Failure::new(error.kind(), format!("{error}{option}"))
    }
}
