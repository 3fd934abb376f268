//! Running a reference script and comparing with what it wrote.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tch::{Kind, Tensor};

/// Tensors of one script by name.
pub(crate) struct Oracle {
    name: &'static str,
    tensors: HashMap<String, Tensor>,
}

/// For tests that draw random numbers: libtorch has one generator for all threads, and a test that seeds it must be alone.
pub(crate) fn alone_with_the_generator() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs `scripts/reference/<name>.py`, which writes to `out`, with more arguments.
pub(crate) fn run_script(name: &str, out: &Path, more: &[&str]) {
    let python = root().join(".venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing; run ./scripts/setup first",
        python.display()
    );
    let script = root().join(format!("scripts/reference/{name}.py"));
    let status = Command::new(python)
        .arg(&script)
        .arg(out)
        .args(more)
        // Idle threads of its OpenMP would spin on the cores of the test beside it.
        .env("OMP_NUM_THREADS", "1")
        .status()
        .unwrap();
    assert!(status.success(), "{} failed: {status}", script.display());
}

impl Oracle {
    /// Runs a script and reads its tensors.
    pub(crate) fn run(name: &'static str) -> Oracle {
        Oracle::run_with(name, &[])
    }

    /// The same with more arguments.
    pub(crate) fn run_with(name: &'static str, more: &[&str]) -> Oracle {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out.npz");
        run_script(name, &out, more);
        Oracle::read(name, &out)
    }

    /// The tensors that a script wrote.
    pub(crate) fn read(name: &'static str, path: &Path) -> Oracle {
        let tensors = Tensor::read_npz(path).unwrap();
        Oracle {
            name,
            tensors: tensors.into_iter().collect(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> &Tensor {
        let found = self.tensors.get(key);
        found.unwrap_or_else(|| panic!("{}.py wrote no {key}", self.name))
    }

    /// Tensors whose name starts with `prefix`, without it.
    pub(crate) fn below(&self, prefix: &str) -> HashMap<String, Tensor> {
        let below = self.tensors.iter().filter_map(|(name, tensor)| {
            let rest = name.strip_prefix(prefix)?;
            Some((rest.to_owned(), tensor.shallow_clone()))
        });
        below.collect()
    }

    pub(crate) fn values(&self, key: &str) -> Vec<f64> {
        Vec::try_from(self.get(key).flatten(0, -1).to_kind(Kind::Double)).unwrap()
    }

    pub(crate) fn value(&self, key: &str) -> f64 {
        self.get(key).double_value(&[])
    }
}

/// Largest difference divided by the largest wanted value, or by `floor` where that is larger.
///
/// Some gradients are zero by construction (a bias before a batch normalisation); what is there is rounding.
pub(crate) fn difference(found: &Tensor, wanted: &Tensor, floor: f64) -> f64 {
    assert_eq!(found.size(), wanted.size(), "shapes");
    let found = found.detach().to_kind(Kind::Double);
    let wanted = wanted.to_kind(Kind::Double);
    let scale = wanted.abs().max().double_value(&[]).max(floor);
    (found - wanted).abs().max().double_value(&[]) / scale
}

/// Asserts a relative difference of at most `tolerance`.
#[track_caller]
pub(crate) fn assert_close(what: &str, found: &Tensor, wanted: &Tensor, tolerance: f64) {
    let found = difference(found, wanted, 1e-6);
    assert!(
        found <= tolerance,
        "{what}: relative difference {found:.3e} above {tolerance:.0e}"
    );
}
