//! The loader at the other end of the socket: one that answers already, or one that is started for us and whoever else uses the data set.

use std::path::{Path, PathBuf};

use loader_client::{AttachError, Attached, Program, Wanted, attach};
use loader_ipc::ErrorKind;

use crate::config::LoaderSettings;
use crate::failure::Failure;

/// A place where a loader answers.
#[derive(Debug)]
pub struct Loader {
    /// The socket.
    pub socket: PathBuf,
    /// One line about who answers there.
    pub line: String,
    /// A loader that was started ends when its last user drops this.
    _attached: Attached,
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
        let program = program()?;
        let log = log_dir.join("loader.log");
        let wanted = Wanted {
            data: data_dirs,
            socket: settings.socket.as_deref(),
            program: Some(&program),
            log: Some(&log),
            timeout: settings.timeout,
        };
        let attached = attach(&wanted, &mut || true).map_err(failure)?;
        Ok(Loader {
            socket: attached.socket().to_owned(),
            line: line(&attached, data_dirs),
            _attached: attached,
        })
    }
}

fn line(attached: &Attached, data_dirs: &[PathBuf]) -> String {
    let line = format!("loader: {}", attached.line());
    if attached.is_wanted_data() {
        return line;
    }
    let shown = data_dirs.iter().map(|dir| dir.display().to_string());
    let shown = shown.collect::<Vec<_>>().join(", ");
    format!("{line} (warning: not DATA.PATH_TO_DATA_DIR {shown}, which is not read)")
}

/// The loader beside this executable, whether it is there or not.
///
/// # Errors
/// When the system does not tell where we are.
pub fn program() -> Result<Program, Failure> {
    let executable = std::env::current_exe();
    let executable = executable.map_err(Failure::io(
        "finding our own executable",
        Path::new("loader"),
    ))?;
    Ok(Program {
        path: executable.with_file_name("loader"),
        args: Vec::new(),
    })
}

/// With the setting that helps.
fn failure(error: AttachError) -> Failure {
    match &error {
        AttachError::NoFolder { dir } => Failure::Usage(format!(
            "no such folder; DATA.PATH_TO_DATA_DIR {}; give a folder made by `shard-tool pack`",
            dir.display()
        )),
        AttachError::NotPacked { dir } => {
            let shown = dir.display();
            Failure::Usage(format!(
                "this folder is not packed (it has no manifest.json); DATA.PATH_TO_DATA_DIR {shown}; run: shard-tool pack {shown} --out \
                 {shown}-shards, then set DATA.PATH_TO_DATA_DIR {shown}-shards"
            ))
        }
        AttachError::NoProgram { .. } => Failure::Usage(format!("{error} and set LOADER.SOCKET")),
        _ => by_kind(error),
    }
}

fn by_kind(error: AttachError) -> Failure {
    let told = error.to_string();
    match (error.kind(), error) {
        (_, AttachError::Ipc(error)) => error.into(),
        (ErrorKind::Usage, _) => Failure::Usage(told),
        (ErrorKind::Data, _) => Failure::Data(told),
        (ErrorKind::Library, _) => Failure::Library(told),
        (ErrorKind::Resources | ErrorKind::PeerLost, _) => Failure::Resources(told),
    }
}
