//! What is wrong with a set, for people and scripts: the format knows neither exit codes nor the commands and options that help.

use std::path::Path;

use shard_format::{ErrorKind, Fault, FormatError, Remedy};

/// Exit code for what is wrong with a set.
pub fn exit_code(error: &FormatError) -> i32 {
    match error.kind() {
        ErrorKind::Usage => 2,
        ErrorKind::Data => 3,
        ErrorKind::Resources => 4,
    }
}

/// The message, with the option or command that helps.
pub fn told(error: &FormatError) -> String {
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
    format!("{what}; {place}; {first}{}{command}", error.remedy())
}
