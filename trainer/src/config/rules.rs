//! Rules between keys: each gives a sentence when it is broken. Nothing is rounded or cut silently.

use super::job::Job;
use super::problem::{Origin, Problem};
use super::raw::RawConfig;
use super::views::{self, COUNTS};

/// A key at fault and the sentence about it.
type Broken = Option<(&'static str, String)>;

const RULES: &[fn(&RawConfig) -> Broken] = &[
    evaluation_is_known,
    output_is_named,
    data_are_named,
    two_global_views,
    local_views_agree,
    some_pairs_are_left,
    global_scale_rises,
    local_scale_rises,
    scale_of_two_views_rises,
    hue_is_half_a_turn_at_most,
    warm_up_fits,
    milestones_rise,
    swav_queue_holds_a_batch,
    moco_queue_is_whole_batches,
    patches_fill_the_views,
    one_precision_is_named,
    steps_of_an_epoch_are_a_replay_s,
    one_start_is_named,
];

/// Every broken rule, at the place of the key to change.
pub(super) fn broken(raw: &RawConfig) -> Vec<Problem> {
    let broken = RULES.iter().filter_map(|rule| rule(raw));
    broken
        .map(|(key, what)| Problem::new(raw.get(key).origin.clone(), format!("{key}: {what}")))
        .collect()
}

const REPLAY: &str = "TRAIN.REPLAY_BATCHES";
const LOCAL: &str = "MULTI_VIEWS_TRANSFORMS.LOCAL_CROPS_NUMBER";

fn evaluation_is_known(raw: &RawConfig) -> Broken {
    const KEY: &str = "EVAL_METHOD";
    let name = raw.text(KEY);
    let is_unknown = Job::named(name).is_none();
    is_unknown.then(|| {
        let what = format!("expected Linear, Semi, or nothing to pre-train, found `{name}`");
        (KEY, what)
    })
}

fn output_is_named(raw: &RawConfig) -> Broken {
    const KEY: &str = "OUTPUT_DIR";
    is_named(KEY, raw.text(KEY).is_empty())
}

fn data_are_named(raw: &RawConfig) -> Broken {
    const KEY: &str = "DATA.PATH_TO_DATA_DIR";
    let has_empty = raw.texts(KEY).iter().any(String::is_empty);
    is_named(KEY, has_empty && raw.path(REPLAY).is_none())
}

fn is_named(key: &'static str, is_empty: bool) -> Broken {
    is_empty.then(|| (key, "it names no folder; give one".to_owned()))
}

fn two_global_views(raw: &RawConfig) -> Broken {
    let num_global = raw.ints(COUNTS)[0];
    (num_global != 2).then(|| {
        let what = format!("there are 2 global views, not {num_global}; set its first value to 2");
        (COUNTS, what)
    })
}

fn local_views_agree(raw: &RawConfig) -> Broken {
    let (ours, theirs) = (raw.int(LOCAL), raw.ints(COUNTS)[1]);
    (ours != theirs).then(|| {
        let what =
            format!("{ours} local views here, {theirs} in {COUNTS}; set both to the same number");
        (LOCAL, what)
    })
}

fn some_pairs_are_left(raw: &RawConfig) -> Broken {
    let none = raw.trains("DINO") && raw.int(LOCAL) == 0 && !raw.bool("DINO.GLOBAL_ONLY");
    none.then(|| {
        let what = "0 local views leave the global-local half of the loss empty; set DINO.GLOBAL_ONLY True";
        (LOCAL, what.to_owned())
    })
}

fn global_scale_rises(raw: &RawConfig) -> Broken {
    rises(raw, "MULTI_VIEWS_TRANSFORMS.GLOBAL_CROPS_SCALE")
}

fn local_scale_rises(raw: &RawConfig) -> Broken {
    rises(raw, "MULTI_VIEWS_TRANSFORMS.LOCAL_CROPS_SCALE")
}

fn scale_of_two_views_rises(raw: &RawConfig) -> Broken {
    rises(raw, "TWO_VIEWS_TRANSFORMS.GLOBAL_CROPS_SCALE")
}

fn rises(raw: &RawConfig, key: &'static str) -> Broken {
    let scale = raw.floats(key);
    (scale[0] > scale[1]).then(|| (key, "the lower end comes first; swap the two".to_owned()))
}

fn hue_is_half_a_turn_at_most(raw: &RawConfig) -> Broken {
    const KEYS: [&str; 2] = [
        "MULTI_VIEWS_TRANSFORMS.COLOR_JITTER_INTENSITY",
        "TWO_VIEWS_TRANSFORMS.COLOR_JITTER_INTENSITY",
    ];
    let hues = KEYS.map(|key| (key, raw.floats(key)[3]));
    let (key, hue) = hues.into_iter().find(|(_, hue)| *hue > 0.5)?;
    Some((key, format!("the fourth value (hue) is {hue}; at most 0.5")))
}

fn warm_up_fits(raw: &RawConfig) -> Broken {
    let (warmup, total) = (
        raw.int("SOLVER.WARMUP_EPOCHS"),
        raw.int("SOLVER.TOTAL_EPOCHS"),
    );
    (warmup > total).then(|| {
        let what = format!(
            "{warmup} epochs of warm-up do not fit into SOLVER.TOTAL_EPOCHS {total}; set it to {total} or less"
        );
        ("SOLVER.WARMUP_EPOCHS", what)
    })
}

fn milestones_rise(raw: &RawConfig) -> Broken {
    let milestones = raw.ints("SOLVER.MILESTONES");
    let falls = milestones.windows(2).any(|pair| pair[0] >= pair[1]);
    falls.then(|| ("SOLVER.MILESTONES", "epochs must rise".to_owned()))
}

fn global_batch(raw: &RawConfig) -> i64 {
    raw.int("TRAIN.BATCH_SIZE")
        .saturating_mul(raw.int("WORLD_SIZE"))
}

fn swav_queue_holds_a_batch(raw: &RawConfig) -> Broken {
    const KEY: &str = "SWAV.QUEUE_LENGTH";
    let (queue, batch) = (raw.int(KEY), global_batch(raw));
    (raw.trains("SWAV") && queue > 0 && queue < batch).then(|| {
        let what = format!(
            "a queue of {queue} holds no global batch of {batch}; set 0 (no queue) or a multiple of {batch}"
        );
        (KEY, what)
    })
}

fn moco_queue_is_whole_batches(raw: &RawConfig) -> Broken {
    const KEY: &str = "MOCO.QUEUE_LENGTH";
    let (queue, batch) = (raw.int(KEY), global_batch(raw));
    (raw.trains("MOCO") && queue % batch != 0).then(|| {
        let below = queue / batch * batch;
        let what = format!(
            "{queue} is no multiple of the global batch {batch}; nearest: {}",
            if below > 0 { below } else { batch }
        );
        (KEY, what)
    })
}

fn patches_fill_the_views(raw: &RawConfig) -> Broken {
    const KEY: &str = "VIT.PATCH_SIZE";
    let patch = raw.int(KEY);
    let is_vit = raw.text("MODEL.BACKBONE_ARCH").starts_with("vit_");
    let views = views::training(raw).views.into_iter().enumerate();
    let views = views.map(|(view, spec)| {
        let which = if view < 2 {
            "a global view"
        } else {
            "a local view"
        };
        (which, i64::from(spec.size))
    });
    let sides = std::iter::once(("an image of the evaluation", 224)).chain(views);
    let (what, side) = sides.into_iter().find(|(_, side)| side % patch != 0)?;
    is_vit.then(|| {
        let told = format!("patches of {patch} pixels do not fill {what} of {side}; choose sizes that are multiples of it");
        (KEY, told)
    })
}

fn one_start_is_named(raw: &RawConfig) -> Broken {
    const KEY: &str = "TRAIN.INIT_WEIGHTS";
    let are_both = raw.path(KEY).is_some() && raw.path("MODEL.PRE_TRAINED_PATH").is_some();
    let what = "MODEL.PRE_TRAINED_PATH names first weights as well; leave one of them out";
    are_both.then(|| (KEY, what.to_owned()))
}

fn one_precision_is_named(raw: &RawConfig) -> Broken {
    const KEY: &str = "TRAIN.PRECISION";
    let named = raw.text(KEY);
    let is_named = raw.get(KEY).origin != Origin::Default;
    (raw.bool("USE_FP16") && is_named && named != "fp16").then(|| {
        let what = format!(
            "{named} here, and USE_FP16 True means fp16; set USE_FP16 False or leave this key out"
        );
        (KEY, what)
    })
}

fn steps_of_an_epoch_are_a_replay_s(raw: &RawConfig) -> Broken {
    const KEY: &str = "TRAIN.STEPS_PER_EPOCH";
    let is_set = raw.int(KEY) > 0 && raw.path(REPLAY).is_none();
    is_set.then(|| {
        let what = format!(
            "a loader's epoch is one pass over the data set; leave it out (TRAIN.MAX_STEPS ends a run early), or set {REPLAY}"
        );
        (KEY, what)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{RawConfig, resolve};

    fn problems(pairs: &[&str]) -> Vec<String> {
        let pairs: Vec<String> = pairs.iter().map(ToString::to_string).collect();
        let raw = RawConfig::parse("a.yaml", "", &pairs).unwrap();
        match resolve(&raw) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems.iter().map(|p| p.what.clone()).collect(),
        }
    }

    #[test]
    fn the_defaults_break_no_rule() {
        assert_eq!(problems(&[]), [""; 0]);
    }

    #[test]
    fn an_unknown_evaluation_is_named_and_queues_are_no_matter_of_one() {
        let found = problems(&["EVAL_METHOD", "knn"]);
        assert!(found[0].contains("expected Linear, Semi"), "{found:?}");
        let linear = ["EVAL_METHOD", "Linear", "TRAIN.BATCH_SIZE", "100"];
        assert_eq!(
            problems(&[&linear[..], &["SSL_METHOD", "MOCO"]].concat()),
            [""; 0]
        );
    }

    #[test]
    fn folders_without_a_name_are_refused() {
        for none in ["", "None"] {
            let found = problems(&["OUTPUT_DIR", none, "DATA.PATH_TO_DATA_DIR", none]);
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(found[0].contains("OUTPUT_DIR: it names no folder"));
        }
    }

    #[test]
    fn view_counts_that_disagree_are_named_with_both_numbers() {
        let found = problems(&["MULTI_VIEWS_TRANSFORMS.LOCAL_CROPS_NUMBER", "4"]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("4 local views here, 6 in"), "{found:?}");
    }

    #[test]
    fn several_broken_rules_are_listed_together() {
        let found = problems(&[
            "SOLVER.TOTAL_EPOCHS",
            "5",
            "MULTI_VIEWS_TRANSFORMS.NMB_CROPS",
            "[3,0]",
            "MULTI_VIEWS_TRANSFORMS.LOCAL_CROPS_NUMBER",
            "0",
            "MULTI_VIEWS_TRANSFORMS.GLOBAL_CROPS_SCALE",
            "[1.0,0.3]",
        ]);
        assert!(
            found
                .iter()
                .any(|what| what.contains("10 epochs of warm-up"))
        );
        assert!(
            found
                .iter()
                .any(|what| what.contains("2 global views, not 3"))
        );
        assert!(
            found
                .iter()
                .any(|what| what.contains("DINO.GLOBAL_ONLY True"))
        );
        assert!(
            found
                .iter()
                .any(|what| what.contains("lower end comes first"))
        );
    }

    #[test]
    fn a_teacher_warm_up_longer_than_the_run_is_fine() {
        let pairs = ["SOLVER.TOTAL_EPOCHS", "5", "SOLVER.WARMUP_EPOCHS", "1"];
        assert_eq!(problems(&pairs), [""; 0]);
    }

    #[test]
    fn views_that_patches_do_not_fill_are_named_for_transformers_alone() {
        let local = ["MULTI_VIEWS_TRANSFORMS.LOCAL_CROP_SIZE", "100"];
        let found = problems(&local);
        assert!(
            found[0].contains("16 pixels do not fill a local view of 100"),
            "{found:?}"
        );
        let cnn = [local[0], local[1], "MODEL.BACKBONE_ARCH", "resnet18"];
        assert_eq!(problems(&cnn), [""; 0]);
    }

    #[test]
    fn two_precisions_are_named_both_and_a_switch_that_is_off_names_none() {
        for other in ["bf16", "fp32"] {
            let found = problems(&["USE_FP16", "True", "TRAIN.PRECISION", other]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].contains(&format!("TRAIN.PRECISION: {other} here, and USE_FP16 True"))
            );
        }
        for (switch, named) in [("True", "fp16"), ("False", "fp16"), ("False", "bf16")] {
            let pairs = ["USE_FP16", switch, "TRAIN.PRECISION", named];
            assert_eq!(problems(&pairs), [""; 0]);
        }
        assert_eq!(problems(&["USE_FP16", "True"]), [""; 0]);
    }

    #[test]
    fn a_replay_needs_no_data_folder_and_only_it_has_steps_of_its_own() {
        let steps = ["TRAIN.STEPS_PER_EPOCH", "2"];
        assert!(problems(&steps)[0].contains("one pass over the data set"));
        let replay = ["TRAIN.REPLAY_BATCHES", "a", "DATA.PATH_TO_DATA_DIR", ""];
        assert_eq!(problems(&[steps, [replay[0], replay[1]]].concat()), [""; 0]);
        assert_eq!(problems(&replay), [""; 0]);
    }

    #[test]
    fn queues_that_cannot_hold_a_batch_name_the_nearest_that_can() {
        let moco = problems(&["SSL_METHOD", "MOCO", "TRAIN.BATCH_SIZE", "100"]);
        assert!(moco[0].contains("nearest: 65500"), "{moco:?}");
        let swav = problems(&["SSL_METHOD", "SWAV", "SWAV.QUEUE_LENGTH", "100"]);
        assert!(swav[0].contains("no global batch of 128"), "{swav:?}");
    }
}
