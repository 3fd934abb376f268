//! Wrong usage, told like every other error: what; where; what to do.

use clap::{CommandFactory, Parser};

use crate::cli::Cli;
use crate::output::tell;

/// What the command line asks for; ends the program with its help, or with what is wrong with it.
pub(crate) fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        tell!(
            "error[2]: {}",
            in_one_line(&error.render().to_string(), &command())
        );
        std::process::exit(2);
    })
}

/// The program, and its command if it was given one.
fn command() -> String {
    let given = std::env::args().nth(1).unwrap_or_default();
    match Cli::command().find_subcommand(&given) {
        Some(command) => format!("shard-tool {}", command.get_name()),
        None => "shard-tool".to_owned(),
    }
}

/// The problem and the hints of a message of clap; its usage is in the help.
fn in_one_line(message: &str, command: &str) -> String {
    let is_end = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more");
    let lines = message
        .lines()
        .map(str::trim)
        .take_while(|line| !is_end(line));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let (hints, problem): (Vec<&str>, Vec<&str>) =
        lines.into_iter().partition(|line| line.starts_with("tip:"));
    let problem = problem.join(" ");
    let problem = problem.strip_prefix("error: ").unwrap_or(&problem);
    let hints: String = hints
        .iter()
        .map(|hint| hint.replacen("tip: ", "", 1) + "; ")
        .collect();
    format!("{problem}; {command}; {hints}see `{command} --help`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_becomes_what_where_and_what_to_do() {
        let message = "error: unexpected argument '--nope' found\n\n  tip: a similar argument exists: '--no'\n\n\
                       Usage: a b\n\nFor more information, try '--help'.\n";
        assert_eq!(
            in_one_line(message, "a b"),
            "unexpected argument '--nope' found; a b; a similar argument exists: '--no'; see `a b --help`"
        );
        let message = "error: the following required arguments were not provided:\n  <SRC>...\n  --out <DIR>\n\nUsage: a b\n";
        assert_eq!(
            in_one_line(message, "a b"),
            "the following required arguments were not provided: <SRC>... --out <DIR>; a b; see `a b --help`"
        );
    }
}
