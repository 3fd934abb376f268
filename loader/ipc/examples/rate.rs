//! Measures how fast batches of the split `train` come, from the second one on, and how long a batch takes that is ready. A loader has to
//! serve SHARDS.
//!
//! usage: rate SHARDS RECIPE BATCH_SIZE SECONDS    prints images per second and microseconds
//!
//! `scripts/peers clients` holds it against the clients in other languages.

use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use loader_ipc::{Client, Recipe, Subscriber, Subscription, default_socket};

const PATIENCE: Duration = Duration::from_secs(60);
const NUM_ROUNDS: usize = 20;
const NAME: &str = "rate";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [shards, recipe, batch_size, seconds] = &args[..] else {
        return Err("usage: rate SHARDS RECIPE BATCH_SIZE SECONDS".into());
    };
    let socket = &default_socket(&[shards]);
    let recipe = Recipe::named(recipe).map_err(|reason| reason.to_string())?;
    let asked = Subscription {
        name: NAME.to_owned(),
        num_epochs: 1 << 20,
        ..Subscription::new("train", recipe, batch_size.parse()?)
    };
    let subscribed = || Client::connect(socket, PATIENCE)?.subscribe(&asked);
    let rate = images_per_s(subscribed()?, Duration::from_secs_f64(seconds.parse()?))?;
    let ready_us = ready_us_per_batch(subscribed()?, socket)?;
    println!("{rate:.1} {ready_us:.1}");
    Ok(())
}

fn images_per_s(mut batches: Subscriber, during: Duration) -> Result<f64, Box<dyn Error>> {
    batches.receive(PATIENCE)?;
    let (start, mut num_images) = (Instant::now(), 0);
    while start.elapsed() < during || num_images == 0 {
        let batch = batches.receive(PATIENCE)?.ok_or("the stream has ended")?;
        num_images += batch.num_valid();
    }
    Ok(num_images as f64 / start.elapsed().as_secs_f64())
}

/// Median time until a batch is ours, with its labels and the place of its views, when the ring is full.
fn ready_us_per_batch(mut batches: Subscriber, socket: &Path) -> Result<f64, Box<dyn Error>> {
    let mut times = Vec::new();
    for num_taken in 0..NUM_ROUNDS {
        wait_for(
            num_taken as u64 + u64::from(batches.info().geometry.num_slots),
            socket,
        )?;
        let start = Instant::now();
        let batch = batches.receive(PATIENCE)?.ok_or("the stream has ended")?;
        let views: Vec<_> = (0..batch.num_groups())
            .map(|group| batch.group(group).as_ptr())
            .collect();
        let taken = (batch.labels(), batch.sample_ids(), views);
        times.push(start.elapsed());
        drop(taken);
    }
    times.sort_unstable();
    Ok(1e6 * times[NUM_ROUNDS / 2].as_secs_f64())
}

fn wait_for(num_published: u64, socket: &Path) -> Result<(), Box<dyn Error>> {
    let pid = std::process::id() as i32;
    loop {
        let status = Client::connect(socket, PATIENCE)?.status()?;
        let ours = status
            .subscribers
            .iter()
            .find(|one| (one.pid, one.name.as_str()) == (pid, NAME));
        if ours.is_some_and(|ours| ours.num_published >= num_published) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
}
