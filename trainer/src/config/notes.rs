//! What a configuration says and a run does not heed: a line for each.

use super::access::{MULTI_VIEWS, TWO_VIEWS};
use super::job::Job;
use super::keys::{Key, Meaning};
use super::raw::RawConfig;

impl RawConfig {
    /// Lines about keys that were set and do nothing (those of other methods or jobs, those without a meaning here), about where MoCo's two
    /// views come from, and about what SwAV's queue really holds.
    pub fn notes(&self) -> Vec<String> {
        let idle = self.changed().filter_map(|(key, _)| {
            let why = self.idle(key)?;
            Some(format!("{} has no effect: {why}", key.path))
        });
        let section = self.views_section();
        let two_views = format!("MOCO.GLOBAL_ONLY: the two views are the global ones of {section}");
        let two_views = self.is_moco_global_only().then_some(two_views);
        idle.chain(two_views).chain(self.cut_queue()).collect()
    }

    /// SwAV's queue takes whole batches.
    fn cut_queue(&self) -> Option<String> {
        let batch = self.int("TRAIN.BATCH_SIZE");
        let length = self.int("SWAV.QUEUE_LENGTH");
        let is_cut =
            self.job() == Job::Pretraining && self.method() == "SWAV" && length % batch != 0;
        is_cut.then(|| {
            format!(
                "SWAV.QUEUE_LENGTH {length} holds {}: whole batches of {batch}",
                length - length % batch
            )
        })
    }

    /// Why this run does not read a key, if so.
    pub fn idle(&self, key: &Key) -> Option<String> {
        let (job, method) = (self.job(), self.method());
        let evaluation = || format!("EVAL_METHOD is {}", self.evaluation());
        let other_method = |wanted: &[&str]| {
            let is_other = !wanted.contains(&method);
            is_other.then(|| format!("SSL_METHOD is {method}"))
        };
        let pretraining = || "without EVAL_METHOD this is a pre-training".to_owned();
        match (key.meaning, job) {
            (Meaning::Ignored(why), _) => Some(why.to_owned()),
            (Meaning::Transformer, Job::Pretraining) => self.unless("MODEL.BACKBONE_ARCH", "vit_"),
            (Meaning::Schedule(wanted), _) => self.unless("SOLVER.SCHEDULER", wanted),
            (Meaning::Here | Meaning::Pretraining, Job::Pretraining) => self.of_other_views(key),
            (Meaning::Methods(wanted), Job::Pretraining) => other_method(wanted),
            (Meaning::DinoHead, Job::Pretraining) => other_method(&["DINO"]),
            (Meaning::Evaluation | Meaning::LastBlocks, Job::Pretraining) => Some(pretraining()),
            (
                Meaning::Methods(_) | Meaning::Pretraining | Meaning::Transformer,
                Job::Linear | Job::SemiSupervised,
            ) => Some(evaluation()),
            (Meaning::DinoHead, Job::Linear) | (Meaning::LastBlocks, Job::SemiSupervised) => {
                Some(evaluation())
            }
            (Meaning::LastBlocks, Job::Linear) => self.unless("MODEL.BACKBONE_ARCH", "vit_"),
            (Meaning::Optimizer(wanted), _) => self.unless("SOLVER.OPTIMIZING_METHOD", wanted),
            _ => None,
        }
    }

    /// Says what a key holds if that does not begin like this.
    fn unless(&self, path: &str, wanted: &str) -> Option<String> {
        let value = self.text(path);
        (!value.starts_with(wanted)).then(|| format!("{path} is {value}"))
    }

    /// Why a key of a section does not describe the views, if so.
    fn of_other_views(&self, key: &Key) -> Option<String> {
        let section = self.views_section();
        let is_of = |wanted: &str| key.path.starts_with(wanted) && section != wanted;
        if is_of(TWO_VIEWS) {
            return Some("only MoCo with MOCO.GLOBAL_ONLY True reads it".to_owned());
        }
        is_of(MULTI_VIEWS)
            .then(|| format!("keys of {TWO_VIEWS} are set, so they describe the views"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(text: &str) -> Vec<String> {
        RawConfig::parse("a.yaml", text, &[]).unwrap().notes()
    }

    #[test]
    fn the_section_that_does_not_describe_the_views_is_told() {
        let two = "TWO_VIEWS_TRANSFORMS:\n  GLOBAL_CROP_SIZE: 64\n";
        let idle = "TWO_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE has no effect: only MoCo with MOCO.GLOBAL_ONLY True reads it";
        assert_eq!(notes(two), [idle]);
        let moco = "SSL_METHOD: MOCO\nMOCO:\n  GLOBAL_ONLY: True\n";
        let from =
            |section| format!("MOCO.GLOBAL_ONLY: the two views are the global ones of {section}");
        assert_eq!(notes(moco), [from(MULTI_VIEWS)]);
        let both = format!("{moco}{two}MULTI_VIEWS_TRANSFORMS:\n  GLOBAL_CROP_SIZE: 32\n");
        let found = notes(&both);
        assert!(found[0].starts_with("MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE has no effect"));
        assert_eq!(found[1..], [from(TWO_VIEWS)]);
    }

    #[test]
    fn the_evaluations_have_defaults_of_their_own_and_do_not_read_what_makes_views() {
        let pairs = [
            "MULTI_VIEWS_TRANSFORMS.LAMBDAS",
            "[1, 0]",
            "SOLVER.NESTEROV",
            "True",
            "SWAV.EPSILON",
            "0.1",
        ];
        let pairs: Vec<String> = pairs.iter().map(ToString::to_string).collect();
        let text = "EVAL_METHOD: linear\nVIT:\n  NUM_LAST_BLOCKS: 4\nSOLVER:\n  BASE_LR: 0.3\n";
        let config = RawConfig::parse("a.yaml", text, &pairs).unwrap();
        assert_eq!(config.text("MODEL.BACKBONE_ARCH"), "resnet50");
        assert_eq!(config.int("SOLVER.WARMUP_EPOCHS"), 0);
        assert_eq!(config.float("SOLVER.BASE_LR"), 0.3);
        assert_eq!(
            config.notes(),
            [
                "MULTI_VIEWS_TRANSFORMS.LAMBDAS has no effect: EVAL_METHOD is linear",
                "SWAV.EPSILON has no effect: EVAL_METHOD is linear",
                "VIT.NUM_LAST_BLOCKS has no effect: MODEL.BACKBONE_ARCH is resnet50",
                "SOLVER.NESTEROV has no effect: SOLVER.OPTIMIZING_METHOD is LARS",
            ]
        );
        let factor = ["SOLVER.LR_FACTOR".to_owned(), "2".to_owned()];
        let config = RawConfig::parse("a.yaml", "", &factor).unwrap();
        assert_eq!(
            config.notes(),
            ["SOLVER.LR_FACTOR has no effect: without EVAL_METHOD this is a pre-training"]
        );
    }

    #[test]
    fn what_another_method_network_or_schedule_reads_is_told_and_what_a_queue_cannot_hold() {
        let text = "SSL_METHOD: SWAV\nTRAIN:\n  BATCH_SIZE: 100\nSWAV:\n  QUEUE_LENGTH: 3840\nMODEL:\n  BACKBONE_ARCH: resnet18\n  MODEL_MOMENTUM: 0.5\n\
                    VIT:\n  DROP_PATH_RATE: 0.2\nSOLVER:\n  CLIP_GRAD: 3.0\n  FREEZE_LAST_LAYER: 1\n  MILESTONES: [1, 2]\n";
        let mut found = notes(text);
        assert_eq!(
            found.pop().unwrap(),
            "SWAV.QUEUE_LENGTH 3840 holds 3800: whole batches of 100"
        );
        let of_swav = [
            "MODEL.MODEL_MOMENTUM",
            "SOLVER.CLIP_GRAD",
            "SOLVER.FREEZE_LAST_LAYER",
        ];
        let mut wanted = of_swav
            .map(|key| format!("{key} has no effect: SSL_METHOD is SWAV"))
            .to_vec();
        wanted.push("VIT.DROP_PATH_RATE has no effect: MODEL.BACKBONE_ARCH is resnet18".to_owned());
        wanted.push("SOLVER.MILESTONES has no effect: SOLVER.SCHEDULER is cos".to_owned());
        wanted.sort();
        found.sort();
        assert_eq!(found, wanted);
    }

    #[test]
    fn keys_without_effect_are_told_once_when_they_are_set() {
        let config = RawConfig::parse(
            "a.yaml",
            "WORKERS: 4\nSWAV:\n  EPSILON: 0.1\nLOG_GRAD: True\n",
            &[],
        );
        assert_eq!(
            config.unwrap().notes(),
            [
                "SWAV.EPSILON has no effect: SSL_METHOD is DINO",
                "WORKERS has no effect: the loader takes its threads from the machine",
            ]
        );
    }
}
