//! A file of batches and a configuration that reads it: runs through the program without a loader.

use std::fs;
use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};
use tempfile::TempDir;

use crate::program::{run, trained};

pub(crate) const STEPS: usize = 6;
const BATCH: i64 = 8;
const CONFIG: &str = "
TRAIN: {BATCH_SIZE: 8, JOINT_LINEAR_PROBE: True}
MULTI_VIEWS_TRANSFORMS: {NMB_CROPS: [2, 1], LOCAL_CROPS_NUMBER: 1, GLOBAL_CROP_SIZE: 64, LOCAL_CROP_SIZE: 48}
MODEL: {BACKBONE_ARCH: mobilenet_v2}
DINOHead: {HIDDEN_SIZE: 16, BOTTLENECK_DIM: 8, OUTPUT_DIM: 32, USE_BN_IN_HEAD: True}
SWAV: {HIDDEN_SIZE: 16, OUTPUT_DIM: 8, NMB_PROTOTYPES: 32, QUEUE_LENGTH: 16, EPOCH_QUEUE_STARTS: 1}
MOCO: {HIDDEN_SIZE: 16, OUTPUT_DIM: 8, QUEUE_LENGTH: 16, MOMENTUM: 0.9}
SOLVER: {TOTAL_EPOCHS: 1, WARMUP_EPOCHS: 0, CLIP_GRAD: 0.5}
";

pub(crate) type Named = Vec<(String, Tensor)>;

/// A folder with a configuration and a file of batches.
pub(crate) struct Files {
    pub(crate) dir: TempDir,
    pub(crate) cfg: PathBuf,
    batches: String,
}

impl Files {
    pub(crate) fn new() -> Files {
        Files::with(batches())
    }

    pub(crate) fn with(batches: Named) -> Files {
        let dir = tempfile::tempdir().unwrap();
        let cfg = dir.path().join("run.yaml");
        fs::write(&cfg, CONFIG).unwrap();
        let batches = write(dir.path(), "batches", &batches);
        Files { dir, cfg, batches }
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn pairs<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        [&["TRAIN.REPLAY_BATCHES", &self.batches], more].concat()
    }

    pub(crate) fn trained(&self, out: &str, more: &[&str]) -> String {
        trained(&self.cfg, &self.out(out), &self.pairs(more))
    }

    /// Exit code and last words of a run that is refused.
    pub(crate) fn refused(&self, more: &[&str]) -> (Option<i32>, String) {
        let done = run(&self.cfg, &self.out("refused"), &self.pairs(more));
        let told = String::from_utf8(done.stderr).unwrap();
        (done.status.code(), told)
    }
}

pub(crate) fn write(dir: &Path, name: &str, tensors: &Named) -> String {
    let path = dir.join(format!("{name}.safetensors"));
    Tensor::write_safetensors(tensors, &path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Bytes without a generator: libtorch's is global.
fn pixels(step: usize, view: usize, size: i64) -> Tensor {
    let place = (7919 * step + 104_729 * view) as i64;
    let num = BATCH * size * size * 3;
    let places = Tensor::arange(num, (Kind::Int64, tch::Device::Cpu)) + place;
    let bytes = (&places * &places * 2_654_435_761i64)
        .remainder(1_000_003)
        .remainder(256);
    bytes.to_kind(Kind::Uint8).view([BATCH, size, size, 3])
}

pub(crate) fn batches() -> Named {
    let mut tensors = Vec::new();
    for step in 0..STEPS {
        for (view, size) in [64, 64, 48].into_iter().enumerate() {
            tensors.push((format!("step{step}.view{view}"), pixels(step, view, size)));
        }
        let labels = Tensor::from_slice(&[0i64, 2, -1, 1, 0, 1, 2, 2]);
        tensors.push((format!("step{step}.labels"), labels));
    }
    tensors
}
