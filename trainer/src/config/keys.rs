//! Every key there is: its kind, its default, and whether it means something here, and for a run that is continued. The reference's keys and defaults, and
//! our own `LOADER.*`, `DEVICE`, `TRAIN.{PRECISION,CUDA_GRAPH,MAX_STEPS,SKIP_NON_FINITE,STOP_ON_COLLAPSE,CHECKPOINTS_KEPT,INIT_WEIGHTS,REPLAY_BATCHES,STEPS_PER_EPOCH}` and `VAL.PERIOD`.

use super::job::Job;
use super::value::Kind::{self, Bool, Choice, Float, Floats, Int, Ints, Text, Texts};
use Meaning::{
    DinoHead, Evaluation, Here, Ignored, Lacking, LastBlocks, Methods, Optimizer, Pretraining,
    Schedule, Transformer,
};
use OnResume::{Fixed, Free, Told};

/// One configuration key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// `KEY.SUBKEY`.
    pub path: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Its value where nothing sets it, as the command line would set it.
    pub default: &'static str,
    /// The same for the evaluations, where the reference has another.
    pub in_evaluation: Option<&'static str>,
    /// What it does.
    pub meaning: Meaning,
    /// What a change of it means for a run that is continued.
    pub on_resume: OnResume,
}

/// What a change of a key means for a run that is continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnResume {
    /// It shapes the state: a checkpoint with another value cannot be continued.
    Fixed,
    /// The run goes on with the new value, and a line says so.
    Told,
    /// Nothing that is learnt depends on it.
    Free,
}

/// What a key does in this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It is read.
    Here,
    /// It is read by pre-training only.
    Pretraining,
    /// It is read by pre-training with these methods only.
    Methods(&'static [&'static str]),
    /// It is read by pre-training of a transformer only.
    Transformer,
    /// It is read with this schedule only.
    Schedule(&'static str),
    /// It is read by pre-training with DINO, and by the semi-supervised evaluation, which keeps layers of its head.
    DinoHead,
    /// It is read by the evaluations only.
    Evaluation,
    /// It is read by the linear evaluation of a transformer only.
    LastBlocks,
    /// It is read with this optimiser only.
    Optimizer(&'static str),
    /// It is accepted and does nothing, for this reason; setting it away from its default is answered by one line.
    Ignored(&'static str),
    /// It asks for something that this version lacks; setting it away from its default is refused.
    Lacking(&'static str),
}

const fn key(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: Meaning,
    on_resume: OnResume,
) -> Key {
    Key {
        path,
        kind,
        default,
        in_evaluation: None,
        meaning,
        on_resume,
    }
}

impl Key {
    const fn evaluated_with(mut self, default: &'static str) -> Key {
        self.in_evaluation = Some(default);
        self
    }

    /// Its value where nothing sets it.
    pub fn default_for(&self, job: Job) -> &'static str {
        match (job, self.in_evaluation) {
            (Job::Linear | Job::SemiSupervised, Some(default)) => default,
            _ => self.default,
        }
    }
}

const SCALE: Kind = Floats(2, 2, 1e-6, 1.0);
const SIZE: Kind = Int(1, 4096);
const PROBS2: Kind = Floats(2, 2, 0.0, 1.0);
const JITTER: Kind = Floats(4, 4, 0.0, 16.0);
const COUNT: Kind = Int(0, i64::MAX);
const TEMP: Kind = Float(1e-6, 1e6);
const WIDTH: Kind = Int(1, 16_777_216);

/// All keys, section by section.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("TRAIN.DATASET", Text, "imagenet1k", Ignored("the data set is what lies in DATA.PATH_TO_DATA_DIR"), Told),
    key("TRAIN.NUM_CLASSES", Int(0, 1_000_000), "0", Here, Told),
    key("TRAIN.FILE_NAME", Text, "train.h5", Ignored("shards are listed in the data set's manifest"), Told),
    key("TRAIN.SUBSET_FILE_PATH", Text, "", Here, Told),
    key("TRAIN.BATCH_SIZE", Int(1, 65_536), "128", Here, Told),
    key("TRAIN.CHECKPOINT_PERIOD", Int(1, i64::MAX), "20", Here, Told).evaluated_with("10"),
    key("TRAIN.CHECKPOINTS_KEPT", Int(1, i64::MAX), "2", Here, Free),
    key("TRAIN.CHECKPOINT_FILE_PATH", Text, "", Ignored("a run continues from its own latest checkpoint"), Told),
    key("TRAIN.JOINT_LINEAR_PROBE", Bool, "False", Pretraining, Fixed),
    key("TRAIN.PRECISION", Choice(&["fp32", "bf16", "fp16"]), "fp32", Pretraining, Told),
    key("TRAIN.CUDA_GRAPH", Bool, "False", Pretraining, Free),
    key("TRAIN.MAX_STEPS", Int(0, i64::MAX), "0", Here, Free),
    key("TRAIN.SKIP_NON_FINITE", COUNT, "0", Here, Free),
    key("TRAIN.STOP_ON_COLLAPSE", Bool, "False", Pretraining, Free),
    key("TRAIN.INIT_WEIGHTS", Text, "", Pretraining, Free),
    key("TRAIN.REPLAY_BATCHES", Text, "", Pretraining, Told),
    key("TRAIN.STEPS_PER_EPOCH", Int(0, i64::MAX), "0", Pretraining, Fixed),
    key("VAL.DATASET", Text, "imagenet1k", Ignored("the data set is what lies in DATA.PATH_TO_DATA_DIR"), Told),
    key("VAL.FILE_NAME", Text, "val.h5", Ignored("shards are listed in the data set's manifest"), Told),
    key("VAL.SUBSET_FILE_PATH", Text, "", Here, Told),
    key("VAL.BATCH_SIZE", Int(1, 65_536), "128", Here, Told),
    key("VAL.PERIOD", Int(0, i64::MAX), "1", Here, Told),
    key("DATA.PATH_TO_DATA_DIR", Texts, "datasets/imagenet_ori/", Here, Told).evaluated_with("./datasets/imagenet1k/"),
    key("DATA.MEAN", Floats(3, 3, 0.0, 1.0), "[0.485, 0.456, 0.406]", Here, Told),
    key("DATA.STD", Floats(3, 3, 1e-6, 1.0), "[0.229, 0.224, 0.225]", Here, Told),
    key("TWO_VIEWS_TRANSFORMS.GLOBAL_CROPS_SCALE", SCALE, "[0.08, 1.0]", Pretraining, Told),
    key("TWO_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE", SIZE, "224", Pretraining, Told),
    key("TWO_VIEWS_TRANSFORMS.RANDOM_HORIZONTAL_FLIP_PROB", PROBS2, "[0.5, 0.5]", Pretraining, Told),
    key("TWO_VIEWS_TRANSFORMS.GAUSSIAN_BLUR_PROB", PROBS2, "[1.0, 0.1]", Pretraining, Told),
    key("TWO_VIEWS_TRANSFORMS.COLOR_JITTER_PROB", PROBS2, "[0.8, 0.8]", Pretraining, Told),
    key("TWO_VIEWS_TRANSFORMS.COLOR_JITTER_INTENSITY", JITTER, "[0.4, 0.4, 0.2, 0.1]", Pretraining, Told),
    key("TWO_VIEWS_TRANSFORMS.GREYSCALE_PROB", PROBS2, "[0.2, 0.2]", Pretraining, Told),
    key("TWO_VIEWS_TRANSFORMS.CROP_PROB", PROBS2, "[1.0, 1.0]", Ignored("every view is cropped"), Told),
    key("TWO_VIEWS_TRANSFORMS.SOLARIZATION_PROB", PROBS2, "[0.0, 0.2]", Pretraining, Told),
    key("MULTI_VIEWS_TRANSFORMS.GLOBAL_CROPS_SCALE", SCALE, "[0.25, 1.0]", Here, Told).evaluated_with("[0.08, 1.0]"),
    key("MULTI_VIEWS_TRANSFORMS.LOCAL_CROPS_SCALE", SCALE, "[0.05, 0.25]", Pretraining, Told),
    key("MULTI_VIEWS_TRANSFORMS.LOCAL_CROPS_NUMBER", Int(0, 62), "6", Pretraining, Told),
    key("MULTI_VIEWS_TRANSFORMS.RANDOM_HORIZONTAL_FLIP_PROB", PROBS2, "[0.5, 0.5]", Here, Told),
    key("MULTI_VIEWS_TRANSFORMS.GAUSSIAN_BLUR_PROB", Floats(3, 3, 0.0, 1.0), "[1.0, 0.1, 0.5]", Pretraining, Told),
    key("MULTI_VIEWS_TRANSFORMS.COLOR_JITTER_PROB", PROBS2, "[0.8, 0.8]", Pretraining, Told),
    key("MULTI_VIEWS_TRANSFORMS.COLOR_JITTER_INTENSITY", JITTER, "[0.4, 0.4, 0.2, 0.1]", Pretraining, Told),
    key("MULTI_VIEWS_TRANSFORMS.GREYSCALE_PROB", PROBS2, "[0.2, 0.2]", Pretraining, Told),
    key("MULTI_VIEWS_TRANSFORMS.CROP_PROB", PROBS2, "[1.0, 1.0]", Ignored("every view is cropped"), Told),
    key("MULTI_VIEWS_TRANSFORMS.LOCAL_CROP_SIZE", SIZE, "96", Pretraining, Told),
    key("MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE", SIZE, "224", Here, Told),
    key("MULTI_VIEWS_TRANSFORMS.SOLARIZATION_PROB", PROBS2, "[0.0, 0.2]", Pretraining, Told),
    key("MULTI_VIEWS_TRANSFORMS.CROPS_FOR_ASSIGN", Ints(1, 2, 0, 1), "[0, 1]", Methods(&["SWAV"]), Fixed),
    key("MULTI_VIEWS_TRANSFORMS.NMB_CROPS", Ints(2, 2, 0, 62), "[2, 6]", Pretraining, Told),
    key("MULTI_VIEWS_TRANSFORMS.LAMBDAS", Floats(2, 2, 0.0, f64::MAX), "[0.142857, 0.857143]", Pretraining, Told),
    key("MODEL.BACKBONE_ARCH", Choice(&["mobilenet_v2", "resnet18", "resnet34", "resnet50", "vit_tiny", "vit_small", "vit_base"]), "vit_tiny", Here, Fixed).evaluated_with("resnet50"),
    key("MODEL.MODEL_MOMENTUM", Float(0.0, 1.0), "0.99", Methods(&["DINO"]), Told),
    key("MODEL.MODEL_MOMENTUM_END", Float(0.0, 1.0), "1.0", Methods(&["DINO"]), Told),
    key("MODEL.PRE_TRAINED_PATH", Text, "", Here, Told),
    key("MODEL.PRE_TRAINED_SUP", Bool, "False", Lacking("weights of supervised training are not downloaded; name a file by MODEL.PRE_TRAINED_PATH"), Told),
    key("MODEL.BACKBONE_WIDTH_MULT", Float(0.0, 16.0), "1.0", Lacking("networks of another width"), Fixed),
    key("MODEL.BACKBONE_GROUP_FACTOR", Float(0.0, 16.0), "1", Lacking("networks with other groups"), Fixed),
    key("SWAV.FREEZE_PROTOTYPES_EPOCHS", COUNT, "1", Methods(&["SWAV"]), Told),
    key("SWAV.EPOCH_QUEUE_STARTS", COUNT, "15", Methods(&["SWAV"]), Told),
    key("SWAV.TEMPERATURE", TEMP, "0.1", Methods(&["SWAV"]), Told),
    key("SWAV.EPSILON", TEMP, "0.05", Methods(&["SWAV"]), Told),
    key("SWAV.SINKHORN_ITERATIONS", Int(1, 1_000), "3", Methods(&["SWAV"]), Told),
    key("SWAV.NMB_PROTOTYPES", WIDTH, "3000", Methods(&["SWAV"]), Fixed),
    key("SWAV.QUEUE_LENGTH", COUNT, "0", Methods(&["SWAV"]), Fixed),
    key("SWAV.OUTPUT_DIM", WIDTH, "128", Methods(&["SWAV"]), Fixed),
    key("SWAV.HIDDEN_SIZE", WIDTH, "4096", Methods(&["SWAV"]), Fixed),
    key("SWAV.NUM_LAYERS", Int(1, 16), "2", Methods(&["SWAV"]), Fixed),
    key("SWAV.USE_BN_IN_HEAD", Bool, "True", Methods(&["SWAV"]), Fixed),
    key("MOCO.TEMPERATURE", TEMP, "0.2", Methods(&["MOCO"]), Told),
    key("MOCO.GLOBAL_ONLY", Bool, "False", Methods(&["MOCO"]), Told),
    key("MOCO.QUEUE_LENGTH", Int(1, i64::MAX), "65536", Methods(&["MOCO"]), Fixed),
    key("MOCO.MOMENTUM", Float(0.0, 1.0), "0.999", Methods(&["MOCO"]), Told),
    key("MOCO.OUTPUT_DIM", WIDTH, "128", Methods(&["MOCO"]), Fixed),
    key("MOCO.HIDDEN_SIZE", WIDTH, "2048", Methods(&["MOCO"]), Fixed),
    key("MOCO.NUM_LAYERS", Int(1, 16), "2", Methods(&["MOCO"]), Fixed),
    key("MOCO.USE_BN_IN_HEAD", Bool, "False", Methods(&["MOCO"]), Fixed),
    key("DINO.GLOBAL_ONLY", Bool, "False", Methods(&["DINO"]), Told),
    key("DINO.STUDENT_TEMP", TEMP, "0.1", Methods(&["DINO"]), Told),
    key("DINO.WARMUP_TEACHER_TEMP", TEMP, "0.04", Methods(&["DINO"]), Told),
    key("DINO.TEACHER_TEMP", TEMP, "0.07", Methods(&["DINO"]), Told),
    key("DINO.WARMUP_TEACHER_TEMP_EPOCHS", COUNT, "30", Methods(&["DINO"]), Told),
    key("DINO.CENTER_MOMENTUM", Float(0.0, 1.0), "0.9", Methods(&["DINO"]), Told),
    key("DINOHead.OUTPUT_DIM", WIDTH, "4096", Methods(&["DINO"]), Fixed),
    key("DINOHead.HIDDEN_SIZE", WIDTH, "2048", DinoHead, Fixed),
    key("DINOHead.BOTTLENECK_DIM", WIDTH, "256", Methods(&["DINO"]), Fixed),
    key("DINOHead.NUM_LAYERS", Int(1, 16), "3", DinoHead, Fixed),
    key("DINOHead.USE_BN_IN_HEAD", Bool, "False", DinoHead, Fixed).evaluated_with("True"),
    key("DINOHead.NORM_LAST_YEAR", Bool, "True", Methods(&["DINO"]), Fixed),
    key("VIT.PATCH_SIZE", Int(1, 224), "16", Here, Fixed),
    key("VIT.DROP_PATH_RATE", Float(0.0, 0.999), "0.1", Transformer, Told),
    key("VIT.NUM_LAST_BLOCKS", Int(1, 12), "1", LastBlocks, Fixed),
    key("SOLVER.OPTIMIZING_METHOD", Choice(&["LARS", "SGD", "AdamW"]), "LARS", Here, Fixed),
    key("SOLVER.NESTEROV", Bool, "False", Optimizer("SGD"), Told),
    key("SOLVER.LR_FACTOR", Float(0.0, f64::MAX), "1.0", Evaluation, Told),
    key("SOLVER.WD_FACTOR_FOR_BIAS", Float(0.0, f64::MAX), "0.0", Here, Told),
    key("SOLVER.WD_FACTOR_FOR_DW", Float(0.0, f64::MAX), "0.0", Here, Told),
    key("SOLVER.LARS_EXCLUDE_BIAS", Bool, "True", Here, Told),
    key("SOLVER.LARS_EXCLUDE_DW", Bool, "False", Here, Told),
    key("SOLVER.WEIGHT_DECAY", Float(0.0, f64::MAX), "1.0e-6", Here, Told),
    key("SOLVER.WEIGHT_DECAY_END", Float(0.0, f64::MAX), "0.0", Pretraining, Told),
    key("SOLVER.TOTAL_EPOCHS", Int(1, i64::MAX), "300", Here, Told).evaluated_with("100"),
    key("SOLVER.WARMUP_EPOCHS", COUNT, "10", Here, Told).evaluated_with("0"),
    key("SOLVER.START_WARMUP", Float(0.0, f64::MAX), "0.0", Here, Told),
    key("SOLVER.BASE_LR", Float(0.0, f64::MAX), "0.3", Here, Told).evaluated_with("0.05"),
    key("SOLVER.MIN_LR", Float(0.0, f64::MAX), "0.0", Here, Told).evaluated_with("1.0e-6"),
    key("SOLVER.MOMENTUM", Float(0.0, 1.0), "0.9", Here, Told),
    key("SOLVER.CLIP_GRAD", Float(0.0, f64::MAX), "0.0", Methods(&["DINO", "MOCO"]), Told),
    key("SOLVER.FREEZE_LAST_LAYER", COUNT, "0", Methods(&["DINO"]), Told),
    key("SOLVER.SCHEDULER", Choice(&["cos", "multistep"]), "cos", Here, Told),
    key("SOLVER.MILESTONES", Ints(1, 64, 0, i64::MAX), "[60, 80]", Schedule("multistep"), Told),
    key("LOADER.SOCKET", Text, "", Here, Free),
    key("LOADER.TIMEOUT_S", Float(0.1, 86_400.0), "120.0", Here, Free),
    key("LOADER.SLOTS", Int(0, 64), "0", Here, Free),
    key("DEVICE", Choice(&["auto", "cpu", "cuda"]), "auto", Here, Told),
    key("LOG_STEP", Int(1, i64::MAX), "10", Here, Free),
    key("LOG_GRAD", Bool, "True", Ignored("means of single gradients are not logged"), Told),
    key("STAGE", Choice(&["TRAIN", "VAL", "TEST", "FT"]), "TRAIN", Here, Told),
    key("DISTRIBUTED", Bool, "True", Ignored("one process trains, whatever this says"), Told),
    key("SEED", Int(0, i64::MAX), "0", Here, Told),
    key("DIST_BACKEND", Text, "nccl", Ignored("one process trains"), Told),
    key("N_NODES", Int(1, i64::MAX), "1", Here, Told),
    key("WORLD_SIZE", Int(1, i64::MAX), "1", Here, Told),
    key("NODE_RANK", Int(0, i64::MAX), "0", Ignored("one process trains"), Told),
    key("DIST_URL", Text, "env://", Ignored("one process trains"), Told),
    key("WORKERS", Int(0, i64::MAX), "8", Ignored("the loader takes its threads from the machine"), Told),
    key("USE_FP16", Bool, "False", Pretraining, Told),
    key("SSL_METHOD", Choice(&["DINO", "SWAV", "MOCO"]), "DINO", Here, Fixed),
    key("EVAL_METHOD", Text, "", Here, Fixed),
    key("NUM_GPUS_PER_NODE", Int(0, i64::MAX), "8", Ignored("one process trains on one device"), Told),
    key("TENSORBOARD_PATH", Text, "/tensorboard", Ignored("events are written to OUTPUT_DIR/tensorboard"), Told),
    key("OUTPUT_DIR", Text, "./tmp", Here, Free),
];

/// The key of this path.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The key whose path is most like this one, if any is alike at all.
pub fn nearest(path: &str) -> Option<&'static str> {
    let likeness = |key: &Key| strsim::jaro_winkler(&key.path.to_uppercase(), &path.to_uppercase());
    let best = KEYS
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    // The name of a key without its section is a likelier mistake than a misspelt name.
    let in_section = KEYS
        .iter()
        .find(|key| key.path.rsplit('.').next() == Some(path) && key.path != path);
    match in_section {
        Some(key) => Some(key.path),
        None => (likeness(best) > 0.75).then_some(best.path),
    }
}
