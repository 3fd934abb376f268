//! Times training steps on random views: the trainer's own speed, without any loader.
//!
//! usage: step_time CONFIG [STEPS] [KEY VALUE ...]; prints the median seconds per step and source images per second.
use std::rc::Rc;
use std::time::Instant;

use tch::{Kind, Tensor};
use trainer::batch::Batch;
use trainer::config::{RawConfig, Resolved, Settings, resolve};
use trainer::device;
use trainer::method::StepRates;
use trainer::optim::Rates;
use trainer::world::Alone;

const WARM_UP: usize = 2;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let path = args
        .first()
        .ok_or(anyhow::anyhow!("name a configuration"))?;
    let num_steps: usize = args.get(1).map_or(Ok(5), |text| text.parse())?;
    let pairs = args.get(2..).unwrap_or_default();
    let raw = RawConfig::parse(path, &std::fs::read_to_string(path)?, pairs)?;
    let Resolved::Runnable(settings) = resolve(&raw)? else {
        anyhow::bail!("{path} is not runnable in this version");
    };
    device::keep_freed_memory();
    let chosen = device::choose(settings.device)?;
    println!("{}, {}", chosen.reason, device::limit_threads());
    let mut model = settings.method.build(None, chosen.device, Rc::new(Alone));
    let batch = random_batch(&settings, chosen.device);
    let mut times = Vec::new();
    for _ in 0..WARM_UP + num_steps {
        let start = Instant::now();
        model.step(&batch, rates()).read();
        times.push(start.elapsed().as_secs_f64());
    }
    let measured = &mut times[WARM_UP..];
    measured.sort_by(f64::total_cmp);
    let median = measured[measured.len() / 2];
    println!(
        "{} batch {}: {median:.3} s/step, {:.2} img/s",
        path,
        settings.batch_size,
        f64::from(settings.batch_size) / median
    );
    Ok(())
}

fn random_batch(settings: &Settings, device: tch::Device) -> Batch {
    let batch = i64::from(settings.batch_size);
    let views = settings.views.groups().into_iter().map(|group| {
        let (num, size) = (group.num_views as i64 * batch, i64::from(group.size));
        Tensor::randn([num, size, size, 3], (Kind::Float, device)).permute([0, 3, 1, 2])
    });
    Batch {
        views_nchw: views.collect(),
        labels: vec![0; batch as usize],
        sample_ids: (0..batch as u64).collect(),
        epoch: 0,
        step: 0,
    }
}

fn rates() -> StepRates {
    StepRates {
        epoch: 1,
        optimizer: Rates {
            lr: 0.01,
            weight_decay: 1e-6,
        },
        momentum: 0.996,
        teacher_temp: 0.04,
        seed: 0,
    }
}
