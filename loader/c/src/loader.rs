//! A use of a daemon, which ends with its last user if it was started for one.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use loader_card::Reader;
use loader_client::{Attached, Program, Wanted, attach};
use loader_ipc::Subscription;

use crate::failure::Failure;
use crate::handle::Kind;
use crate::table::Table;

/// All that this process uses.
pub(crate) static LOADERS: Table<Loader> = Table::new(Kind::Loader);

/// A use of a daemon.
#[derive(Debug)]
pub(crate) struct Loader {
    socket: PathBuf,
    timeout: Duration,
    // Only held; the lock makes it fit for any thread.
    _attached: Mutex<Attached>,
}

impl Loader {
    /// Finds the daemon of `data`, or starts `program` where one is named. `timeout` is for answers.
    pub(crate) fn connect(
        data: &[PathBuf],
        socket: Option<&Path>,
        program: Option<&Path>,
        timeout: Duration,
    ) -> Result<Loader, Failure> {
        let program = program.map(|path| Program {
            path: on_path(path),
            args: Vec::new(),
        });
        let wanted = Wanted {
            data,
            socket,
            program: program.as_ref(),
            log: None,
            timeout,
        };
        let attached = attach(&wanted, &mut || true)?.serving(data)?;
        Ok(Loader {
            socket: attached.socket().to_owned(),
            timeout,
            _attached: Mutex::new(attached),
        })
    }

    /// On a connection of its own: each carries one stream.
    pub(crate) fn subscribe(&self, subscription: &Subscription) -> Result<Reader, Failure> {
        Ok(Reader::subscribe(&self.socket, self.timeout, subscription)?)
    }
}

/// A name without a folder is looked for where a shell would look.
fn on_path(program: &Path) -> PathBuf {
    let folders = match program.components().count() {
        1 => env::var_os("PATH").unwrap_or_default(),
        _ => return program.to_owned(),
    };
    let mut places = env::split_paths(&folders).map(|folder| folder.join(program));
    let found = places.find(|place| place.is_file());
    found.unwrap_or_else(|| program.to_owned())
}
