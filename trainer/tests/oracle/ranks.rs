//! Two ranks with half of a batch each learn what one learns from all of it: where statistics, centres, codes, keys and gradients go
//! through the world of ranks, only the order of sums is left.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tch::{Device, Kind, Tensor};
use trainer::batch::Batch;
use trainer::collapse::measure;
use trainer::eval::Features;
use trainer::eval::knn::KnnConfig;
use trainer::learner::Lesson;
use trainer::machine::Machine;
use trainer::method::classifier::{ClassifierConfig, Learns};
use trainer::method::{Method, MethodConfig, StepRates};
use trainer::model::backbone::Arch;
use trainer::optim::Rates;
use trainer::pass::{Forward, Inputs};
use trainer::world::World;

use crate::oracle::{alone_with_the_generator, difference};
use crate::steps::{PROBE_CLASSES, config};

/// Of losses and norms, in double precision.
const TOLERANCE: f64 = 1e-8;
/// Of the state: what a sum in another order leaves, units near a kink multiply. 1.2e-8 was seen in a momentum after three steps.
const STATE_TOLERANCE: f64 = 1e-7;
/// Images of one step, over all ranks.
const BATCH: i64 = 8;
const STEPS: u64 = 3;

type State = HashMap<String, Tensor>;

/// One of two ranks, a thread each, that hand each other tensors with the graphs behind them.
#[derive(Debug)]
struct OneOfTwo {
    rank: i64,
    to_other: Sender<Vec<Tensor>>,
    from_other: Receiver<Vec<Tensor>>,
}

impl OneOfTwo {
    fn pair() -> [OneOfTwo; 2] {
        let (to_second, from_first) = channel();
        let (to_first, from_second) = channel();
        let rank = |rank, to_other, from_other| OneOfTwo {
            rank,
            to_other,
            from_other,
        };
        [
            rank(0, to_second, from_second),
            rank(1, to_first, from_first),
        ]
    }

    /// What both ranks hand in, in the order of ranks.
    fn exchange(&self, mine: Vec<Tensor>) -> [Vec<Tensor>; 2] {
        let handed = mine.iter().map(Tensor::shallow_clone).collect();
        self.to_other.send(handed).expect("the other rank lives");
        let theirs = self.from_other.recv().expect("the other rank lives");
        match self.rank {
            0 => [mine, theirs],
            _ => [theirs, mine],
        }
    }

    fn both(&self, mine: Tensor) -> [Tensor; 2] {
        self.exchange(vec![mine]).map(|mut handed| handed.remove(0))
    }
}

impl World for OneOfTwo {
    fn size(&self) -> i64 {
        2
    }

    fn rank(&self) -> i64 {
        self.rank
    }

    fn sum(&self, mine: Tensor) -> Tensor {
        let [first, second] = self.both(mine);
        first + second
    }

    fn gather(&self, mine: &Tensor) -> Tensor {
        Tensor::cat(&self.both(mine.detach()), 0)
    }

    fn broadcast(&self, mine: Tensor) -> Tensor {
        let [first, _] = self.both(mine);
        first
    }

    /// Both ranks' graphs are one, so rank 0 goes back through it for both.
    fn gradients(&self, loss: &Tensor, params: &[&Tensor]) -> Vec<Tensor> {
        let params = params.iter().map(|param| param.shallow_clone());
        let mine = std::iter::once(loss.shallow_clone())
            .chain(params)
            .collect();
        let [first, second] = self.exchange(mine);
        let mut gradients = Vec::new();
        if self.rank == 0 {
            let params: Vec<&Tensor> = first[1..].iter().chain(&second[1..]).collect();
            gradients = Tensor::run_backward(&[&first[0] + &second[0]], &params, false, false);
        }
        let [of_both, _] = self.exchange(gradients);
        let (first, second) = of_both.split_at(of_both.len() / 2);
        let pairs = first.iter().zip(second);
        pairs.map(|(first, second)| (first + second) / 2).collect()
    }
}

fn batches() -> Vec<Batch> {
    let views = |num: i64, size: i64| {
        let values = Tensor::randn([num * BATCH, size, size, 3], (Kind::Double, Device::Cpu));
        values.permute([0, 3, 1, 2])
    };
    let batch = |step| Batch {
        views_nchw: vec![views(2, 48), views(3, 32)],
        labels: (0..BATCH).map(|image| image % 4).collect(),
        sample_ids: (0..BATCH as u64).collect(),
        epoch: 0,
        step,
    };
    (0..STEPS).map(batch).collect()
}

/// The images of one rank, in every view.
fn half(whole: &Batch, rank: i64) -> Batch {
    let b = BATCH / 2;
    let views = whole.views_nchw.iter().map(|views| {
        let size = views.size();
        let by_view = views.view([-1, BATCH, 3, size[2], size[3]]);
        let mine = by_view.narrow(1, rank * b, b);
        mine.reshape([-1, 3, size[2], size[3]])
    });
    let rows = (rank * b) as usize..((rank + 1) * b) as usize;
    Batch {
        views_nchw: views.collect(),
        labels: whole.labels[rows.clone()].to_vec(),
        sample_ids: whole.sample_ids[rows].to_vec(),
        ..*whole
    }
}

fn rates(step: u64) -> StepRates {
    StepRates {
        epoch: step,
        optimizer: Rates {
            lr: 0.05,
            weight_decay: 1e-3,
        },
        momentum: 0.9,
        teacher_temp: 0.04,
        seed: step as i64,
    }
}

/// Signs of collapse are measured on a rank's own images, and are no means over them.
const OF_A_RANK: [&str; 6] = [
    measure::FEATURE_STD,
    measure::EFFECTIVE_RANK,
    measure::TARGET_ENTROPY,
    measure::KL_TO_UNIFORM,
    measure::TARGET_INFORMATION,
    measure::PROTOTYPES_USED,
];

/// Losses, accuracy and norms of every step, then the state.
fn train(
    config: &MethodConfig,
    machine: &Machine,
    start: &State,
    batches: &[Batch],
) -> (Vec<f64>, State) {
    let mut model = config.build(PROBE_CLASSES, machine);
    model.convert(Kind::Double);
    restore(model.as_mut(), start);
    let mut found = Vec::new();
    for batch in batches {
        let values = model.step(batch, rates(batch.step)).read();
        found.push(values.loss());
        let of_all = values
            .others()
            .filter(|(name, _)| !OF_A_RANK.contains(name));
        found.extend(of_all.map(|(_, value)| value));
    }
    (found, copy(&model.state()))
}

/// The state of a model with fresh weights, in double precision.
fn fresh(config: &MethodConfig) -> State {
    let mut model = config.build(PROBE_CLASSES, &Machine::cpu());
    model.convert(Kind::Double);
    copy(&model.state())
}

/// A rank's part of SwAV's queue is smaller, and as empty.
fn restore(model: &mut dyn Method, start: &State) {
    let find = |name: &str, shape: &[i64]| {
        let value = &start[name];
        Ok(match value.size() == shape {
            true => value.shallow_clone(),
            false => Tensor::zeros(shape, (Kind::Double, Device::Cpu)),
        })
    };
    model.restore(&find).unwrap();
}

fn copy(state: &[(String, Tensor)]) -> State {
    let copies = state.iter();
    copies
        .map(|(name, tensor)| (name.clone(), tensor.copy()))
        .collect()
}

/// Does the same on both ranks, each with its half of the batches.
fn on_two_ranks<T: Send + 'static>(
    start: &State,
    batches: &[Batch],
    job: impl Fn(&Machine, &State, &[Batch]) -> T + Clone + Send + 'static,
) -> [T; 2] {
    let threads = OneOfTwo::pair().map(|world| {
        let halves: Vec<Batch> = batches
            .iter()
            .map(|whole| half(whole, world.rank))
            .collect();
        let start: State = start
            .iter()
            .map(|(name, value)| (name.clone(), value.copy()))
            .collect();
        let job = job.clone();
        thread::spawn(move || {
            let machine = Machine {
                world: Rc::new(world),
                ..Machine::cpu()
            };
            job(&machine, &start, &halves)
        })
    });
    threads.map(|thread| thread.join().expect("a rank panicked"))
}

/// The same method where each rank holds half of SwAV's queue.
fn of_a_rank(mut config: MethodConfig) -> MethodConfig {
    if let MethodConfig::Swav(config) = &mut config {
        config.queue_length /= 2;
    }
    config
}

/// Pushes of half a batch from both ranks lie beside each other in the whole queue.
fn of_both(name: &str, [first, second]: [&Tensor; 2], is_split: bool) -> Tensor {
    if !(is_split && name.starts_with("queue.")) {
        return first.shallow_clone();
    }
    if name.ends_with("num_pushed") {
        return first + second;
    }
    let by_push = |rows: &Tensor| rows.view([-1, BATCH / 2, rows.size()[1]]);
    let rows = Tensor::cat(&[by_push(first), by_push(second)], 1);
    rows.flatten(0, 1)
}

fn check(method: &str, arch: Arch) {
    tch::manual_seed(7);
    let config = config(method, arch);
    let machine = Machine::cpu();
    let start = fresh(&config);
    let batches = batches();
    let (wanted, whole) = train(&config, &machine, &start, &batches);
    let of_rank = of_a_rank(config);
    let [first, second] = on_two_ranks(&start, &batches, move |machine, start, batches| {
        train(&of_rank, machine, start, batches)
    });
    assert_eq!(first.0, second.0, "both ranks tell the same numbers");
    for (found, wanted) in first.0.iter().zip(&wanted) {
        let off = (found - wanted).abs() / wanted.abs().max(1e-3);
        assert!(off < TOLERANCE, "{method} {arch:?}: {found} {wanted}");
    }
    for (name, wanted) in &whole {
        let ranks = [&first.1[name], &second.1[name]];
        let off = difference(&of_both(name, ranks, method == "swav"), wanted, 1e-6);
        assert!(
            off < STATE_TOLERANCE,
            "{method} {arch:?}: {name} is off by {off:.1e}"
        );
    }
}

#[test]
fn two_ranks_of_half_a_batch_are_one_of_the_whole() {
    let _alone = alone_with_the_generator();
    check("dino", Arch::Resnet18);
    check("swav", Arch::MobilenetV2);
    check("moco", Arch::Resnet18);
    check("dino", Arch::VitTiny);
    check("moco", Arch::VitTiny);
}

/// A loss that is no number on one rank alone, with a gradient that is one.
fn learn_from_nothing_on_rank_0(config: &MethodConfig, machine: &Machine, start: &State) -> State {
    let mut model = config.build(PROBE_CLASSES, machine);
    model.convert(Kind::Double);
    restore(model.as_mut(), start);
    model.learner_mut().guard();
    let constant = if machine.world.rank() == 0 {
        f64::NAN
    } else {
        0.0
    };
    let student = model.student().trainable();
    let sums: Vec<Tensor> = student.map(|entry| entry.tensor.sum(None)).collect();
    let probe = model.probe().expect("there is one").parameters.handles();
    let sums: Vec<Tensor> = sums
        .into_iter()
        .chain(probe.iter().map(|(_, tensor)| tensor.sum(None)))
        .collect();
    let loss = Tensor::stack(&sums, 0).sum(None) + constant;
    let batch = batches().swap_remove(0);
    let learnt = model.learner_mut().learn(Lesson {
        batch: &batch,
        forward: |_: &Inputs| Forward::of_loss(loss.shallow_clone()),
        numbers: &[],
        way: false,
        rates: rates(0).optimizer,
        frozen: None,
    });
    let norm = learnt.stats.read().get("grad_norm");
    assert!(norm.is_some_and(f64::is_finite));
    copy(&model.state())
}

#[test]
fn a_loss_that_is_no_number_on_one_rank_stops_the_update_on_both() {
    let _alone = alone_with_the_generator();
    tch::manual_seed(7);
    let config = config("moco", Arch::MobilenetV2);
    let start = fresh(&config);
    let ranks = on_two_ranks(&start, &[], move |machine, start, _| {
        learn_from_nothing_on_rank_0(&config, machine, start)
    });
    for state in ranks {
        for (name, value) in &state {
            assert_eq!(value, &start[name], "{name}");
        }
    }
}

/// What a validation tells: the number of images, then accuracies and the classifier's loss.
fn validated(
    config: &MethodConfig,
    machine: &Machine,
    start: &State,
    batches: &[Batch],
) -> (usize, Vec<f64>) {
    let mut model = config.build(PROBE_CLASSES, machine);
    model.convert(Kind::Double);
    restore(model.as_mut(), start);
    let mut features = Features::of(model.as_ref());
    for batch in batches {
        features.add(model.as_ref(), batch);
    }
    let found = features.score(&KnnConfig {
        k: 5,
        ..KnnConfig::default()
    });
    let numbers = found.scores.all().map(|(_, value)| value);
    (found.num_samples, numbers.collect())
}

/// Images look a little like their class; rank 1 has one label less than rank 0, and none in the last batch.
fn images_to_validate_on() -> Vec<Batch> {
    let mut batches = batches();
    for batch in &mut batches {
        let shade = Tensor::from_slice(&batch.labels).to_kind(Kind::Double) / 2;
        let views = batch.views_nchw[0].narrow(0, 0, BATCH) + shade.view([-1, 1, 1, 1]);
        batch.views_nchw = vec![views];
    }
    batches[0].labels[6] = -1;
    batches[2].labels[4..].fill(-1);
    batches
}

fn check_validation(config: MethodConfig, num_numbers: usize) {
    let start = fresh(&config);
    let batches = images_to_validate_on();
    let wanted = validated(&config, &Machine::cpu(), &start, &batches);
    let ranks = on_two_ranks(&start, &batches, move |machine, start, batches| {
        validated(&config, machine, start, batches)
    });
    assert_eq!((wanted.0, wanted.1.len()), (19, num_numbers));
    assert!(wanted.1[0] > 0.0 && wanted.1[0] < 100.0, "{wanted:?}");
    for (num_samples, found) in ranks {
        assert_eq!(num_samples, wanted.0);
        let pairs = found.iter().zip(&wanted.1);
        let off = pairs.map(|(found, wanted)| (found - wanted).abs());
        assert!(off.fold(0.0, f64::max) < 1e-6, "{found:?} {wanted:?}");
    }
}

#[test]
fn two_ranks_validate_on_the_images_of_both() {
    let _alone = alone_with_the_generator();
    tch::manual_seed(7);
    let dino = config("dino", Arch::Resnet18);
    let MethodConfig::Dino(of_dino) = &dino else {
        unreachable!("it is one of DINO")
    };
    let classifier = MethodConfig::Classifier(ClassifierConfig {
        backbone: of_dino.backbone.clone(),
        learns: Learns::Linear { num_last_blocks: 1 },
        optimizer: of_dino.optimizer.clone(),
        lr_factor: 1.0,
    });
    check_validation(dino, 3);
    check_validation(classifier, 3);
}

#[test]
fn every_rank_draws_with_a_seed_of_its_own() {
    let [first, second] = OneOfTwo::pair();
    assert_eq!([first.seed(5), second.seed(5)], [5, 6]);
}
