//! What is wrong with a set, for people and scripts: the format knows neither exit codes nor the commands and options that help.

use std::path::Path;

use loader_ipc::{ErrorKind, Reason};
use shard_format::{Fault, FormatError, Remedy};

/// The same kind in the words of the contract with subscribers.
pub fn kind(error: &FormatError) -> ErrorKind {
    match error.kind() {
        _ if error.fault() == Fault::UnknownSplit => ErrorKind::Usage,
        shard_format::ErrorKind::Usage => ErrorKind::Usage,
        shard_format::ErrorKind::Data => ErrorKind::Data,
        shard_format::ErrorKind::Resources => ErrorKind::Resources,
    }
}

/// The error as subscribers are told, with the option or command that helps.
pub fn reason(error: &FormatError) -> Reason {
    let (what, place) = (error.what(), error.place());
    let quoted = |dir: &Path| dir.to_string_lossy().replace('\'', r"'\''");
    let command = match (error.fault(), error.remedy()) {
        (_, Remedy::Reindex(dir)) => format!(": shard-tool index --again '{}'", quoted(dir)),
        (Fault::NotPacked, _) => format!(": shard-tool pack {place}"),
        (Fault::NotIndexed, _) => ": shard-tool index --help".to_owned(),
        _ => String::new(),
    };
    let first = match error.fault() {
        Fault::ShardCut => "to do without the rest: --allow-damaged; else ",
        _ => "",
    };
    let remedy = format!("{first}{}{command}", error.remedy());
    Reason::new(kind(error), what, place, remedy)
}
