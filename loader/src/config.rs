//! The daemon's settings: arguments in, validated values out.

use std::path::PathBuf;
use std::thread;

use loader_ipc::{MAX_SLOTS, default_socket};

use crate::cli::{DecoderChoice, ServeArgs};

/// Validated settings of `loader serve`.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Folders of the packed data set.
    pub data: Vec<PathBuf>,
    /// Where to listen.
    pub socket: PathBuf,
    /// Threads that decode and augment.
    pub num_workers: usize,
    /// What makes the views.
    pub decoder: DecoderChoice,
    /// Slots of a ring whose subscriber does not say.
    pub num_slots: u32,
    /// Largest image, in pixels.
    pub pixel_limit: u64,
    /// Share of a split's samples that may be bad.
    pub max_bad_fraction: f64,
    /// Serve what is whole of shards that were cut short.
    pub allow_damaged: bool,
    /// Stop when the last user leaves.
    pub until_unused: bool,
}

/// Every rule that the arguments break.
#[derive(Debug, thiserror::Error)]
#[error("bad arguments: {}; see loader serve --help", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

impl ServeConfig {
    /// Checks the arguments and fills in what depends on the machine.
    ///
    /// # Errors
    /// [`ConfigError`] naming every broken rule at once.
    pub fn resolve(args: ServeArgs) -> Result<ServeConfig, ConfigError> {
        let mut broken = Vec::new();
        if args.workers == Some(0) {
            broken.push("--workers 0: at least 1".to_owned());
        }
        if !(2..=MAX_SLOTS).contains(&args.slots) {
            broken.push(format!("--slots {}: 2 to {MAX_SLOTS}", args.slots));
        }
        if args.max_pixels == 0 {
            broken.push("--max-pixels 0: at least 1".to_owned());
        }
        if !(0.0..=1.0).contains(&args.max_bad_fraction) {
            broken.push(format!(
                "--max-bad-fraction {}: 0 to 1",
                args.max_bad_fraction
            ));
        }
        if !broken.is_empty() {
            return Err(ConfigError(broken));
        }
        Ok(ServeConfig {
            socket: socket_or_default(args.socket, &args.data),
            num_workers: args.workers.unwrap_or_else(num_cpus),
            data: args.data,
            decoder: args.decoder,
            num_slots: args.slots,
            pixel_limit: args.max_pixels,
            max_bad_fraction: args.max_bad_fraction,
            allow_damaged: args.allow_damaged,
            until_unused: args.until_unused,
        })
    }
}

impl ServeConfig {
    /// The folders for a person.
    pub fn shown_data(&self) -> String {
        shown(&self.data)
    }
}

/// Folders for a person.
pub fn shown(dirs: &[PathBuf]) -> String {
    let shown = dirs.iter().map(|dir| dir.display().to_string());
    shown.collect::<Vec<_>>().join(", ")
}

/// The socket that was named, else the data set's own.
pub fn socket_or_default(socket: Option<PathBuf>, data: &[PathBuf]) -> PathBuf {
    socket.unwrap_or_else(|| default_socket(data))
}

/// Cores this process may use: its affinity and its container's quota, not the host's count.
pub fn num_cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ServeArgs {
        ServeArgs {
            data: vec!["/data".into()],
            socket: None,
            workers: Some(3),
            decoder: DecoderChoice::Auto,
            slots: 4,
            max_pixels: 1000,
            max_bad_fraction: 0.001,
            allow_damaged: false,
            until_unused: false,
        }
    }

    #[test]
    fn every_broken_rule_is_named_at_once() {
        let broken = ServeArgs {
            workers: Some(0),
            slots: 1,
            max_pixels: 0,
            max_bad_fraction: f64::NAN,
            ..args()
        };
        let ConfigError(rules) = ServeConfig::resolve(broken).unwrap_err();
        assert_eq!(rules.len(), 4, "{rules:?}");
    }

    #[test]
    fn a_named_socket_wins_over_the_default() {
        let named = ServeConfig::resolve(ServeArgs {
            socket: Some("/run/x".into()),
            ..args()
        })
        .unwrap();
        assert_eq!(named.socket, PathBuf::from("/run/x"));
        let unnamed = ServeConfig::resolve(args()).unwrap();
        assert_eq!(unnamed.socket, default_socket(&["/data"]));
        assert_eq!(unnamed.num_workers, 3);
    }
}
