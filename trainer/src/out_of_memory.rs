//! What a run tells where memory runs out: who had how much of it, what helps, and where the run can go on from.

use std::fs;
use std::path::PathBuf;

use loader_ipc::{CardMemory, Recipe};
use tch::{Device, Kind, Tensor};
use torch_shim::memory::{self, CardBytes};

use crate::batch_source::BatchSource;
use crate::config::Settings;
use crate::method::Method;
use crate::model::precision::Precision;

const CHANNELS: u64 = 3;
const MIB: f64 = (1 << 20) as f64;

/// Bytes by owner.
type Owners = Vec<(&'static str, u64)>;

/// A run that had no memory for a step or a validation.
#[derive(Debug)]
pub struct OutOfMemory<'a> {
    /// Its settings.
    pub settings: &'a Settings,
    /// What it trains.
    pub model: &'a dyn Method,
    /// Where its batches come from.
    pub batches: &'a dyn BatchSource,
    /// Steps that were done.
    pub num_steps: u64,
    /// Whether it was validating.
    pub is_validating: bool,
    /// The last checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// How to go on from there.
    pub resume_command: &'a str,
}

impl OutOfMemory<'_> {
    /// The error. `libtorch` are libtorch's own words.
    pub fn told(&self, libtorch: &str) -> String {
        let step = match self.is_validating {
            true => format!("the validation after step {}", self.num_steps),
            false => format!("step {}", self.num_steps + 1),
        };
        let (_, batch_size, recipe, _) = self.batch();
        let owners = self.owners();
        let owners = owners
            .iter()
            .map(|(owner, bytes)| format!("\n  {:10.1}  {owner}", *bytes as f64 / MIB));
        let remedies = self.remedies().into_iter().take(3);
        let remedies = remedies.map(|remedy| format!("\n    {remedy}"));
        format!(
            "memory ran out; {step}, {batch_size} images with views of each: {}; libtorch: {libtorch}\n  MiB at the peak:{}\n  any of these helps:{}\n  {}",
            sizes(recipe),
            owners.collect::<String>(),
            remedies.collect::<String>(),
            self.way_on(),
        )
    }

    fn way_on(&self) -> String {
        let Some(checkpoint) = &self.checkpoint else {
            return "no checkpoint was saved yet".to_owned();
        };
        let (checkpoint, command) = (checkpoint.display(), self.resume_command);
        format!(
            "the last checkpoint is whole: {checkpoint}; continue, with what helps, by: {command}"
        )
    }

    /// Who has memory of the device.
    fn owners(&self) -> Owners {
        let device = self.model.learner().device();
        let (_, batch_size, recipe, kind) = self.batch();
        let state = self.model.tensors();
        let of_views = view_bytes(recipe, batch_size, kind);
        let of_views = match device {
            // The next one is made ready beside the step.
            Device::Cuda(_) => ("views of the batch and the next", 2 * of_views),
            _ => ("views of the batch", of_views),
        };
        let own = vec![
            (
                "model: networks, averages, probe, queues",
                bytes(state.iter().map(|(_, tensor)| tensor), device),
            ),
            (
                "optimiser",
                bytes(self.model.learner().remembered(), device),
            ),
            of_views,
        ];
        match device {
            Device::Cuda(card) => {
                on_card(own, memory::of_card(card), self.batches.card_memory(card))
            }
            _ => on_host(own, peak_of_process()),
        }
    }

    /// The key of the batch's size, the size, the views and the kind of their values.
    fn batch(&self) -> (&'static str, u32, &Recipe, Kind) {
        let settings = self.settings;
        match self.is_validating {
            true => (
                "VAL.BATCH_SIZE",
                settings.val_batch_size,
                &settings.evaluation,
                Kind::Float,
            ),
            false => (
                "TRAIN.BATCH_SIZE",
                settings.batch_size,
                &settings.views,
                settings.precision.kind(),
            ),
        }
    }

    /// What helps, the best first.
    fn remedies(&self) -> Vec<String> {
        let settings = self.settings;
        let (key, batch_size, ..) = self.batch();
        let mut remedies = Vec::new();
        let mut when =
            |does_help: bool, remedy: String| remedies.extend(does_help.then_some(remedy));
        let fewer = format!("{key} {} (now {batch_size})", batch_size / 2);
        when(batch_size > 1, fewer);
        let on_card = self.model.learner().device() != Device::Cpu;
        let may_round = on_card && !settings.method.is_classifier() && !self.is_validating;
        let rounded = "TRAIN.PRECISION bf16 (now fp32)".to_owned();
        when(may_round && settings.precision == Precision::Full, rounded);
        // Two views alone may have keys of their own.
        let smaller = "smaller views: MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE, or fewer: NMB_CROPS";
        when(!settings.is_global_only, smaller.to_owned());
        when(
            true,
            "a smaller network, in a new run: MODEL.BACKBONE_ARCH".to_owned(),
        );
        when(
            true,
            "fewer other programs with memory of this device".to_owned(),
        );
        remedies
    }
}

/// libtorch's memory of a card, and that of the others: together all that the card has.
fn on_card(own: Owners, card: CardBytes, loader: Option<CardMemory>) -> Owners {
    let of_loader = loader.map(|memory| {
        [
            ("loader: slots with views", memory.slot_bytes),
            ("loader: decoder", memory.in_flight_bytes),
        ]
    });
    let of_loader = of_loader.into_iter().flatten();
    // An earlier step may have had more than is held now.
    let peak = card.peak.min(card.held);
    let mut owners = with_rest(own, "activations, gradients and the rest", peak);
    owners.push(("held by libtorch, in pieces or for later", card.held - peak));
    owners.extend(of_loader);
    let used = card.total - card.free;
    owners = with_rest(owners, "contexts, libraries and other programs", used);
    owners.push(("free", card.free));
    owners
}

/// This process alone; views that wait in shared memory are the loader's.
fn on_host(own: Owners, peak: u64) -> Owners {
    with_rest(own, "activations, gradients, libraries and the rest", peak)
}

/// With what is left of `all`.
fn with_rest(mut owners: Owners, rest: &'static str, all: u64) -> Owners {
    let known: u64 = owners.iter().map(|(_, bytes)| bytes).sum();
    owners.push((rest, all.saturating_sub(known)));
    owners
}

fn bytes<'a>(tensors: impl Iterator<Item = &'a Tensor>, device: Device) -> u64 {
    let there = tensors.filter(|tensor| tensor.device() == device);
    let bytes = there.map(|tensor| tensor.numel() * tensor.kind().elt_size_in_bytes());
    bytes.sum::<usize>() as u64
}

fn view_bytes(recipe: &Recipe, batch_size: u32, kind: Kind) -> u64 {
    let sides = recipe.views.iter().map(|view| u64::from(view.size));
    let pixels: u64 = sides.map(|side| side * side).sum();
    pixels * CHANNELS * u64::from(batch_size) * kind.elt_size_in_bytes() as u64
}

/// `2 of 224, 6 of 96 pixels`.
fn sizes(recipe: &Recipe) -> String {
    let groups = recipe.groups();
    let sizes = groups
        .iter()
        .map(|group| format!("{} of {}", group.num_views, group.size));
    format!("{} pixels", sizes.collect::<Vec<_>>().join(", "))
}

/// The most that this process had in memory at once.
fn peak_of_process() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use loader_ipc::CardId;

    use super::*;
    use crate::batch::Normalizer;
    use crate::batch_source::{DataFacts, Next};
    use crate::config::{RawConfig, Resolved, resolve};
    use crate::failure::Failure;
    use crate::machine::Machine;

    #[derive(Debug)]
    struct NoBatches;

    impl BatchSource for NoBatches {
        fn facts(&self) -> DataFacts {
            unreachable!("nobody asks")
        }

        fn next(&mut self, _normalizer: &Normalizer) -> Result<Next, Failure> {
            unreachable!("nobody asks")
        }
    }

    const SMALL: &str = "TRAIN: {BATCH_SIZE: 6, JOINT_LINEAR_PROBE: True}
MODEL: {BACKBONE_ARCH: resnet18}
MULTI_VIEWS_TRANSFORMS: {GLOBAL_CROP_SIZE: 32, LOCAL_CROP_SIZE: 24}
DINOHead: {OUTPUT_DIM: 64, HIDDEN_SIZE: 32, BOTTLENECK_DIM: 16}
SWAV: {NMB_PROTOTYPES: 30, HIDDEN_SIZE: 32, QUEUE_LENGTH: 12}
MOCO: {QUEUE_LENGTH: 12, HIDDEN_SIZE: 32}
";

    fn settings(pairs: &[&str]) -> Settings {
        let pairs: Vec<String> = pairs.iter().map(|&word| word.to_owned()).collect();
        match resolve(&RawConfig::parse("a.yaml", SMALL, &pairs).unwrap()).unwrap() {
            Resolved::Runnable(settings) => *settings,
            Resolved::Unavailable(what) => panic!("{what:?}"),
        }
    }

    fn ran_out<'a>(settings: &'a Settings, model: &'a dyn Method) -> OutOfMemory<'a> {
        OutOfMemory {
            settings,
            model,
            batches: &NoBatches,
            num_steps: 7,
            is_validating: false,
            checkpoint: Some("/runs/a/checkpoints/step-00000004".into()),
            resume_command: "trainer --cfg a.yaml --resume",
        }
    }

    fn bytes_of(owners: &Owners, owner: &str) -> u64 {
        let found = owners.iter().find(|(name, _)| name.starts_with(owner));
        found.unwrap_or_else(|| panic!("{owner} in {owners:?}")).1
    }

    #[test]
    fn every_tensor_of_a_checkpoint_has_its_owner_whatever_the_method_and_the_optimiser() {
        for (method, optimizer) in [("DINO", "SGD"), ("SWAV", "LARS"), ("MOCO", "AdamW")] {
            let settings = settings(&["SSL_METHOD", method, "SOLVER.OPTIMIZING_METHOD", optimizer]);
            let model = settings.method.build(Some(5), &Machine::cpu());
            let (mut of_model, mut of_optimizer) = (0, 0);
            for (name, tensor) in model.state() {
                let bytes = (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64;
                match name.strip_prefix("optimizer.") {
                    Some(name) if name.ends_with(".num_steps") => {}
                    Some(_) => of_optimizer += bytes,
                    None => of_model += bytes,
                }
            }
            let owners = ran_out(&settings, model.as_ref()).owners();
            assert_eq!(bytes_of(&owners, "model"), of_model, "{method}");
            assert_eq!(bytes_of(&owners, "optimiser"), of_optimizer, "{method}");
            let num_moments = if optimizer == "AdamW" { 2 } else { 1 };
            let learnt = model.learner().num_learnt() as u64 * 4;
            assert_eq!(of_optimizer, num_moments * learnt, "{method}");
            let whole: u64 = owners.iter().map(|(_, bytes)| bytes).sum();
            assert!(whole <= peak_of_process(), "{method}: {owners:?}");
        }
    }

    #[test]
    fn views_take_what_a_batch_of_them_does() {
        for precision in ["fp32", "bf16"] {
            let settings = settings(&["TRAIN.PRECISION", precision]);
            let normalizer = Normalizer::new(
                &settings.normalization,
                Device::Cpu,
                settings.precision.kind(),
            );
            let groups = settings.views.groups();
            let views = groups.iter().map(|group| {
                let (num, size) = (group.num_views as i64, i64::from(group.size));
                let shape = [num * 6, size, size, 3];
                normalizer.apply(&Tensor::zeros(shape, (Kind::Uint8, Device::Cpu)))
            });
            let views: Vec<Tensor> = views.collect();
            let told = view_bytes(&settings.views, 6, settings.precision.kind());
            assert_eq!(told, bytes(views.iter(), Device::Cpu), "{precision}");
        }
    }

    #[test]
    fn the_owners_of_a_cards_memory_have_all_of_it_together() {
        let own = vec![("model", 100), ("optimiser", 50), ("views", 30)];
        let card = CardBytes {
            peak: 900,
            held: 1000,
            free: 10,
            total: 2000,
        };
        let loader = CardMemory {
            card: CardId([0; 16]),
            slot_bytes: 300,
            in_flight_bytes: 200,
        };
        for loader in [Some(loader), None] {
            let owners = on_card(own.clone(), card, loader);
            let all: u64 = owners.iter().map(|(_, bytes)| bytes).sum();
            assert_eq!(all, 2000, "{owners:?}");
            assert_eq!(bytes_of(&owners, "activations"), 900 - 180);
            assert_eq!(bytes_of(&owners, "held by libtorch"), 100);
            let of_loader = loader.map_or(0, |_| 500);
            assert_eq!(bytes_of(&owners, "contexts"), 990 - of_loader);
        }
        let owners = on_card(own, card, Some(loader));
        assert_eq!(bytes_of(&owners, "loader: slots"), 300);
        assert_eq!(bytes_of(&owners, "loader: decoder"), 200);
    }

    #[test]
    fn a_card_of_which_more_was_held_once_is_not_told_to_be_larger() {
        let card = CardBytes {
            peak: 900,
            held: 700,
            free: 1300,
            total: 2000,
        };
        let owners = on_card(vec![("model", 100)], card, None);
        let all: u64 = owners.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(all, 2000, "{owners:?}");
    }

    #[test]
    fn the_error_tells_where_it_was_what_helps_and_where_to_go_on_from() {
        let settings = settings(&[]);
        let model = settings.method.build(None, &Machine::cpu());
        let mut ended = ran_out(&settings, model.as_ref());
        let told = ended.told("can't allocate memory");
        for words in [
            "memory ran out; step 8, 6 images with views of each: 2 of 32, 6 of 24 pixels; libtorch: can't allocate memory\n",
            "  optimiser\n",
            "\n    TRAIN.BATCH_SIZE 3 (now 6)\n    smaller views: ",
            "the last checkpoint is whole: /runs/a/checkpoints/step-00000004; continue, with what helps, by: trainer --cfg a.yaml --resume",
        ] {
            assert!(told.contains(words), "{words} in {told}");
        }
        ended.is_validating = true;
        let told = ended.told("");
        for words in [
            "the validation after step 7, 128 images with views of each: 1 of 32 pixels",
            "VAL.BATCH_SIZE 64 (now 128)",
        ] {
            assert!(told.contains(words), "{words} in {told}");
        }
    }
}
