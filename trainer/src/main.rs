//! The trainer's binary: looks for libtorch, then becomes `trainer-torch` beside it, which is linked with it and would end in the dynamic linker, without
//! a word on what to do, where there is none.

mod libtorch;

use std::ffi::OsString;
use std::io::{Write, stderr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtorch::{BUILT_WITH, CPU_HALF, WANTED, is_wanted, version};

const SEARCH_PATH: &str = "LD_LIBRARY_PATH";
/// A library that does not work.
const EXIT_LIBRARY: u8 = 5;

fn main() -> ExitCode {
    let message = match search_path() {
        Ok(path) => become_the_trainer(path),
        Err(message) => message,
    };
    // Where standard error is closed, the exit code is all that can be told.
    let _ = writeln!(stderr(), "error[{EXIT_LIBRARY}]: {message}");
    ExitCode::from(EXIT_LIBRARY)
}

/// Where the dynamic linker is to look for libtorch first, once it is known to be there and of the right version.
fn search_path() -> Result<Option<OsString>, String> {
    let set = std::env::var_os(SEARCH_PATH);
    let listed: Vec<PathBuf> = set.iter().flat_map(std::env::split_paths).collect();
    if let Some(torch) = std::env::var_os("LIBTORCH").map(PathBuf::from) {
        let lib = torch.join("lib");
        check(std::slice::from_ref(&lib))?;
        let path = std::env::join_paths([lib].into_iter().chain(listed));
        return path.map(Some).map_err(|error| error.to_string());
    }
    let built_with = Path::new(BUILT_WITH).join("lib");
    check(&[listed, vec![built_with]].concat())?;
    Ok(set)
}

/// The first of these folders that has libtorch has the right one.
fn check(folders: &[PathBuf]) -> Result<(), String> {
    let remedy = format!(
        "set LIBTORCH to the folder of PyTorch {WANTED} (python3 -c 'import torch; print(torch.__path__[0])') or run ./scripts/setup; `trainer doctor` tells what is found"
    );
    let Some(lib) = folders.iter().find(|lib| lib.join(CPU_HALF).exists()) else {
        let folders = folders.iter().map(|lib| lib.display().to_string());
        let sought = folders.collect::<Vec<_>>().join(", ");
        return Err(format!(
            "libtorch {WANTED} is not there: no {CPU_HALF} in {sought}; {remedy}"
        ));
    };
    match lib.parent().and_then(version) {
        Some(found) if !is_wanted(&found) => Err(format!(
            "libtorch {WANTED} is needed, {found} was found; {}; {remedy}",
            lib.display()
        )),
        _ => Ok(()),
    }
}

/// Runs the trainer in this process; comes back only to say why it cannot.
fn become_the_trainer(search_path: Option<OsString>) -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.with_file_name("trainer-torch");
    let mut args = std::env::args_os();
    let mut command = Command::new(&program);
    command.arg0(args.next().unwrap_or_default()).args(args);
    command.envs(search_path.map(|path| (SEARCH_PATH, path)));
    command.envs(short_spins());
    let error = command.exec();
    format!(
        "the trainer does not start: {error}; {}; it belongs beside this program: copy both",
        program.display()
    )
}

/// Has OpenMP threads sleep soon instead of spinning while they wait for each other, unless the environment decides that.
///
/// The OpenMP library reads its environment before `main`. By default a thread spins for about a millisecond at the end of
/// every operation; as soon as anything else wants the processor (the loader, a build) that starves the very thread it waits
/// for. MobileNetV2 on two busy cores: 4.4 s a step before, 1.1 s after.
fn short_spins() -> Option<(&'static str, &'static str)> {
    const SPIN: &str = "GOMP_SPINCOUNT";
    let mut deciding = [SPIN, "OMP_WAIT_POLICY"].into_iter();
    let is_decided = deciding.any(|name| std::env::var_os(name).is_some());
    (!is_decided).then_some((SPIN, "1000"))
}
