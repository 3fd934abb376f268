//! The commands of `configs/README.md` are sound, as a reader would type them.

use std::fs;

use crate::harness::{root, run};

const ROWS_OF_THE_TABLE: usize = 14;

/// Every `trainer` command: in a row of a table, or in a block, where a backslash continues a line.
fn commands() -> (Vec<String>, Vec<String>) {
    let text = fs::read_to_string(root().join("configs/README.md")).unwrap();
    let in_row = |line: &str| {
        let (_, rest) = line.strip_prefix('|')?.split_once("`trainer ")?;
        Some(rest.split('`').next()?.to_owned())
    };
    let rows = text.lines().filter_map(in_row).collect();
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks.map(|block| block.replace("\\\n", " "));
    let lines: Vec<String> = lines
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let in_blocks = lines
        .iter()
        .filter_map(|line| line.strip_prefix("trainer "));
    (rows, in_blocks.map(str::to_owned).collect())
}

fn assert_sound(command: &str) {
    let mut args: Vec<&str> = command.split_whitespace().collect();
    args.push("--check");
    let done = run("trainer", &args);
    assert_eq!(done.code, Some(0), "{command}: {}", done.stderr);
    assert!(
        done.stdout.contains("check: the configuration is sound\n"),
        "{command}: {}",
        done.stdout
    );
    assert!(
        !done.stdout.contains("note: "),
        "{command}: {}",
        done.stdout
    );
}

#[test]
fn every_row_of_the_papers_table_and_every_evaluation_has_a_command_that_checks() {
    let (rows, in_blocks) = commands();
    assert_eq!(rows.len(), ROWS_OF_THE_TABLE);
    let mut distinct = rows.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), rows.len());
    let configured: Vec<&String> = in_blocks
        .iter()
        .filter(|line| line.starts_with("--cfg"))
        .collect();
    assert!(configured.len() >= 5, "{in_blocks:?}");
    rows.iter()
        .chain(configured)
        .for_each(|command| assert_sound(command));
}
