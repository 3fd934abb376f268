//! Ten steps of every method against an independent implementation in double precision: in single precision through the program itself, in
//! double through the library. `scripts/reference/train_runs.py` says how the inputs are chosen.

use std::collections::HashMap;
use std::path::Path;

use tch::{Kind, Tensor};
use tempfile::TempDir;
use trainer::batch::{Batch, Normalization};
use trainer::checkpoint::{self, Tensors};
use trainer::config::{RawConfig, Resolved, Settings, resolve};
use trainer::init_weights;
use trainer::machine::Machine;
use trainer::method::StepRates;
use trainer::model::init::channels_last;
use trainer::optim::Rates;

use crate::oracle::{Oracle, alone_with_the_generator, difference, run_script};
use crate::program::{metrics, trained};

/// How near the numbers of one precision have to be, relative to those wanted.
struct Tolerance {
    of_losses: f64,
    of_state: f64,
    /// How long a tensor is, and how long the difference of two.
    length: fn(&Tensor) -> f64,
}

/// By the norm of a tensor: among millions of units one or two are at a kink, and what rounding makes of it changes one channel of a gradient by
/// more than all the others together.
const SINGLE: Tolerance = Tolerance {
    of_losses: 1e-4,
    of_state: 1e-3,
    length: |tensor| tensor.norm().double_value(&[]),
};
/// By the largest value of a tensor.
const DOUBLE: Tolerance = Tolerance {
    of_losses: 1e-8,
    of_state: 1e-8,
    length: |tensor| tensor.abs().max().double_value(&[]),
};

/// Moments of a bias in front of a normalisation are rounding, since its gradient is 0. Those of biases and scales are compared with at least a
/// share of the largest of their kind; the second moment is a square.
const LEAST_MOMENTS: [(&str, f64); 3] = [
    (".momentum", 1e-2),
    (".first_moment", 1e-2),
    (".second_moment", 1e-4),
];

/// Losses as the script orders them.
const LOSSES: [&str; 4] = ["loss", "loss_global", "loss_local", "probe_loss"];

/// One number of one step, found or wanted.
type Numbers = Vec<HashMap<String, f64>>;

impl Tolerance {
    fn check_losses(&self, case: &str, found: &Numbers, oracle: &Oracle) {
        let (losses, norms) = (oracle.values("losses"), oracle.values("grad_norms"));
        assert_eq!(found.len(), norms.len(), "{case}: steps");
        let mut worst = (0.0, String::new());
        for (step, numbers) in found.iter().enumerate() {
            let wanted = LOSSES.into_iter().zip(&losses[4 * step..]);
            for (name, wanted) in wanted.chain([("grad_norm", &norms[step])]) {
                let found = numbers.get(name).copied().unwrap_or(f64::NAN);
                let is_as_absent = wanted.is_nan() && found.is_nan();
                let off = if is_as_absent {
                    0.0
                } else {
                    (found / wanted - 1.0).abs()
                };
                if off > worst.0 || off.is_nan() {
                    worst = (off, format!("{name} of step {step}"));
                }
            }
        }
        println!("{case}: losses within {:.1e} ({})", worst.0, worst.1);
        assert!(worst.0 < self.of_losses, "{case}: {worst:?}");
    }

    fn check_state(&self, case: &str, found: &Tensors, oracle: &Oracle) {
        let (wanted, start) = (oracle.below("end/"), oracle.below("start/"));
        assert_eq!(found.len(), wanted.len(), "{case}: the same state");
        let least = LEAST_MOMENTS.map(|(kind, share)| (kind, share * largest(&wanted, kind)));
        let (mut worst, mut num_moved) = ((0f64, ""), 0);
        for (name, wanted) in &wanted {
            let is_one = |(kind, _): &&(&str, f64)| is_moment(kind, name, wanted);
            let least = least.iter().find(is_one).map_or(1e-30, |(_, least)| *least);
            let off = self.off(&found[name], wanted, least);
            num_moved += usize::from(difference(wanted, &start[name], 1e-9) > 1e-4);
            if off > worst.0 || off.is_nan() {
                worst = (off, name);
            }
        }
        let (num, off, name) = (wanted.len(), worst.0, worst.1);
        println!("{case}: state within {off:.1e} ({name}), {num_moved} of {num} tensors moved");
        assert!(off < self.of_state, "{case}: {worst:?}");
        assert!(num_moved > num / 2, "{case}: only {num_moved} moved");
    }

    fn off(&self, found: &Tensor, wanted: &Tensor, least: f64) -> f64 {
        assert_eq!(found.size(), wanted.size(), "shapes");
        let difference = found.detach().to_kind(Kind::Double) - wanted;
        let length = (self.length)(&wanted.to_kind(Kind::Double));
        (self.length)(&difference) / length.max(least)
    }
}

/// Whether a tensor is a moment of a bias or scale.
fn is_moment(kind: &str, name: &str, tensor: &Tensor) -> bool {
    name.ends_with(kind) && tensor.dim() == 1
}

fn largest(state: &HashMap<String, Tensor>, kind: &str) -> f64 {
    let moments = state.iter();
    let moments = moments.filter(|(name, tensor)| is_moment(kind, name, tensor));
    let largest = moments.map(|(_, tensor)| (DOUBLE.length)(tensor));
    largest.fold(0.0, f64::max)
}

fn in_single(case: &str, dir: &Path) {
    let oracle = Oracle::read("train_runs", &dir.join("expected.npz"));
    let out = dir.join("run");
    let [weights, batches] = files(dir);
    trained(
        &dir.join("run.yaml"),
        &out,
        &[
            "TRAIN.INIT_WEIGHTS",
            &weights,
            "TRAIN.REPLAY_BATCHES",
            &batches,
        ],
    );
    let numbers = |line: serde_json::Value| {
        let names = LOSSES.into_iter().chain(["grad_norm"]);
        let number = |name: &str| (name.to_owned(), line[name].as_f64().unwrap_or(f64::NAN));
        names.map(number).collect()
    };
    let found: Numbers = metrics(&out).into_iter().map(numbers).collect();
    SINGLE.check_losses(case, &found, &oracle);
    let (path, _) = checkpoint::latest(&out.join("checkpoints")).unwrap();
    let state = checkpoint::load(&path).unwrap();
    SINGLE.check_state(case, &state, &oracle);
}

fn in_double(case: &str, dir: &Path) {
    let _alone = alone_with_the_generator();
    let oracle = Oracle::read("train_runs", &dir.join("expected.npz"));
    let settings = settings(dir);
    let machine = Machine::cpu();
    let mut model = settings.method.build(settings.num_classes, &machine);
    model.convert(Kind::Double);
    let [weights, batches] = files(dir);
    init_weights::give(Path::new(&weights), model.as_mut()).unwrap();
    let replay: Tensors = Tensor::read_safetensors(batches)
        .unwrap()
        .into_iter()
        .collect();
    let found = (0..oracle.values("grad_norms").len()).map(|step| {
        let batch = batch(&replay, step, &settings);
        let numbers = model.step(&batch, rates(&settings, step as u64)).read();
        let others = numbers.others().chain([("loss", numbers.loss())]);
        others
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    });
    let found: Numbers = found.collect();
    DOUBLE.check_losses(case, &found, &oracle);
    DOUBLE.check_state(case, &model.state().into_iter().collect(), &oracle);
}

fn files(dir: &Path) -> [String; 2] {
    ["start", "batches"].map(|name| {
        let path = dir.join(format!("{name}.safetensors"));
        path.to_str().unwrap().to_owned()
    })
}

fn settings(dir: &Path) -> Settings {
    let text = std::fs::read_to_string(dir.join("run.yaml")).unwrap();
    let replay = ["TRAIN.REPLAY_BATCHES", &files(dir)[1]].map(str::to_owned);
    let raw = RawConfig::parse("run.yaml", &text, &replay).unwrap();
    match resolve(&raw).unwrap() {
        Resolved::Runnable(settings) => *settings,
        Resolved::Unavailable(what) => panic!("{what:?}"),
    }
}

/// One step's views in double precision: the program's own are normalised in single.
fn batch(replay: &Tensors, step: usize, settings: &Settings) -> Batch {
    let groups = settings.views.groups().into_iter();
    let views = groups.map(|group| {
        let views = group.first_view..group.first_view + group.num_views;
        let views = views.map(|view| &replay[&format!("step{step}.view{view}")]);
        let bytes = Tensor::cat(&views.collect::<Vec<_>>(), 0);
        let Normalization { mean, std } = settings.normalization;
        let values = bytes.to_kind(Kind::Double) / 255.0 - Tensor::from_slice(&mean);
        channels_last(&(values / Tensor::from_slice(&std)).permute([0, 3, 1, 2]))
    });
    let views_nchw = views.collect();
    let labels: Vec<i64> = Vec::try_from(&replay[&format!("step{step}.labels")]).unwrap();
    Batch {
        views_nchw,
        sample_ids: (0..labels.len() as u64).collect(),
        labels,
        epoch: 0,
        step: step as u64,
    }
}

fn rates(settings: &Settings, step: u64) -> StepRates {
    let replay = settings.replay.as_ref().unwrap();
    let steps_per_epoch = replay.steps_per_epoch.unwrap();
    let (schedules, epoch) = (&settings.schedules, step / steps_per_epoch);
    StepRates {
        epoch,
        optimizer: Rates {
            lr: schedules.lr(steps_per_epoch).at(step),
            weight_decay: schedules.weight_decay(steps_per_epoch).at(step),
        },
        momentum: schedules.momentum(steps_per_epoch).at(step),
        teacher_temp: schedules.teacher_temp.at(epoch),
        seed: 0,
    }
}

/// What PyTorch makes of a case, to be held against in one precision or another.
fn expected(case: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    run_script("train_runs", dir.path(), case);
    dir
}

fn check(case: &[&str]) {
    let dir = expected(case);
    let case = case.join(" ");
    in_single(&format!("{case} f32"), dir.path());
    in_double(&format!("{case} f64"), dir.path());
}

macro_rules! follows {
    ($($name:ident: $method:literal $arch:literal $($more:literal)*,)*) => {
        $(
            #[test]
            fn $name() {
                check(&[$method, $arch, $($more),*]);
            }
        )*
    };
}

follows! {
    ten_steps_of_dino_on_mobilenet_v2_follow_pytorch: "dino" "mobilenet_v2" "32",
    ten_steps_of_swav_on_mobilenet_v2_follow_pytorch: "swav" "mobilenet_v2" "32",
    ten_steps_of_moco_on_mobilenet_v2_follow_pytorch: "moco" "mobilenet_v2" "32",
    ten_steps_of_dino_on_resnet18_follow_pytorch: "dino" "resnet18" "32",
    ten_steps_of_swav_on_resnet18_follow_pytorch: "swav" "resnet18" "32",
    ten_steps_of_moco_on_resnet18_follow_pytorch: "moco" "resnet18" "32",
    ten_steps_of_dino_on_a_transformer_with_views_of_128_pixels_follow_pytorch: "dino" "vit_tiny" "128",
    ten_steps_of_dino_on_a_transformer_with_views_of_96_pixels_follow_pytorch: "dino" "vit_tiny" "96",
    ten_steps_of_swav_on_a_transformer_follow_pytorch: "swav" "vit_tiny" "32",
    ten_steps_of_moco_on_a_transformer_follow_pytorch: "moco" "vit_tiny" "32",
    ten_steps_of_dino_with_a_loss_of_global_views_alone_follow_pytorch: "dino" "resnet18" "32" "global_only",
    ten_steps_of_moco_with_two_views_follow_pytorch: "moco" "mobilenet_v2" "32" "global_only",
}

/// In single precision some unit is near a kink here: the norm of the gradient is off by 2e-4.
#[test]
fn ten_steps_of_moco_with_two_views_on_resnet18_follow_pytorch_in_double_precision() {
    let case = ["moco", "resnet18", "32", "global_only"];
    in_double(&case.join(" "), expected(&case).path());
}
