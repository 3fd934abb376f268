//! Reads views in memory of a card: `card_views SOCKET SUBSCRIPTION.json` prints a line for every sample, with the checksum of each of its views.
//! The variable `CARD` is the number of the card, 0 if it is not set; `PATIENCE` the seconds that it waits for a batch, 60 if not. With `READERS=unknown` it does not say
//! which stream reads.
//!
//! The copies run on two streams of their own, in turn, while later batches are received; a slot is given back once its copies are done.
#![allow(unsafe_code)]

use std::error::Error;
use std::mem;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::{CudaStream, result, sys};
use loader_card::{CardError, Held, Reader, card_of_device, context_of};
use loader_ipc::{Lease, Subscription};

/// A copy of a batch, once its stream is done.
struct Copy {
    sample_ids: Vec<u64>,
    batch_size: usize,
    groups: Vec<Vec<u8>>,
    /// Views in each group.
    num_views: Vec<usize>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, subscription] = &arguments[..] else {
        return Err("usage: card_views SOCKET SUBSCRIPTION.json".into());
    };
    let mut asked: Subscription = serde_json::from_str(&std::fs::read_to_string(subscription)?)?;
    let number =
        |name: &str, without: u64| std::env::var(name).map_or(Ok(without), |number| number.parse());
    let patience = Duration::from_secs(number("PATIENCE", 60)?);
    let card = card_of_device(number("CARD", 0)? as usize)?;
    asked.card = Some(card);
    let mut reader = Reader::subscribe(Path::new(socket), patience, &asked)?;
    match reader.not_on_card() {
        None => eprintln!("views in memory of {card}"),
        Some(reason) => eprintln!("views in memory of the host: {reason}"),
    }
    let context = context_of(card)?;
    let mut copies = Copies::onto([context.new_stream()?, context.new_stream()?]);
    while let Some(batch) = reader.receive(patience)? {
        copies.start(&batch)?;
    }
    copies.wait()?;
    copies.of_batches.iter().for_each(Copy::print);
    Ok(())
}

/// Copies that are on their way, and the streams that they are on.
struct Copies {
    streams: [Arc<CudaStream>; 2],
    of_batches: Vec<Copy>,
}

impl Copies {
    fn onto(streams: [Arc<CudaStream>; 2]) -> Copies {
        let of_batches = Vec::new();
        Copies {
            streams,
            of_batches,
        }
    }

    /// Copies the views of a batch, or puts that onto the stream, which reads the batch from then on.
    fn start(&mut self, batch: &Held) -> Result<(), Box<dyn Error>> {
        let stream = &self.streams[self.of_batches.len() % 2];
        // Here before the first byte is asked for: what is on its way must have a place also where this fails.
        self.of_batches.push(Copy::of(batch.lease()));
        let copy = self.of_batches.last_mut().expect("it was just put there");
        copy.fill(batch, stream)
    }

    fn wait(&self) -> Result<(), CardError> {
        let is_idle = |stream: &CudaStream| {
            // SAFETY: the stream lives.
            match unsafe { sys::cuStreamQuery(stream.cu_stream()) } {
                sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
                asked => asked.result().map(|()| true),
            }
        };
        let wait = |stream: &Arc<CudaStream>| {
            let context = stream.context();
            loader_card::wait(context, "copying views", || is_idle(stream))
        };
        self.streams.iter().try_for_each(wait)
    }
}

impl Drop for Copies {
    /// Whatever went wrong, a copy that is on its way needs its memory until it is done. Where the card does not tell that, the memory is never given back.
    fn drop(&mut self) {
        if self.wait().is_err() {
            mem::forget(mem::take(&mut self.of_batches));
        }
    }
}

/// Puts a copy onto the stream. The bytes must stay where they are until it is done: moving their vector leaves them there.
fn download(stream: &Arc<CudaStream>, from: u64, to: &mut [u8]) -> Result<(), Box<dyn Error>> {
    stream.context().bind_to_thread()?;
    // SAFETY: the batch is given back behind this copy, and all vectors live until the stream was waited for.
    unsafe { result::memcpy_dtoh_async(to, from, stream.cu_stream())? };
    Ok(())
}

impl Copy {
    fn fill(&mut self, batch: &Held, stream: &Arc<CudaStream>) -> Result<(), Box<dyn Error>> {
        let is_told = std::env::var_os("READERS").is_none();
        if let (Held::Card(batch), true) = (batch, is_told) {
            // SAFETY: the streams outlive all batches.
            unsafe { batch.read_by(stream.cu_stream().expose_provenance()) };
        }
        for (group, bytes) in self.groups.iter_mut().enumerate() {
            match batch {
                Held::Host(lease) => *bytes = lease.group(group).to_vec(),
                Held::Card(batch) => download(stream, batch.address(group), bytes)?,
            }
        }
        Ok(())
    }

    /// Room for the views of a batch.
    fn of(lease: &Lease) -> Copy {
        let groups = || (0..lease.num_groups()).map(|index| lease.group(index));
        let mut sample_ids = lease.sample_ids();
        let batch_size = sample_ids.len();
        sample_ids.truncate(lease.num_valid());
        Copy {
            sample_ids,
            batch_size,
            groups: groups().map(|group| vec![0; group.len()]).collect(),
            num_views: groups().map(|group| group.shape()[0]).collect(),
        }
    }

    fn print(&self) {
        for (row, id) in self.sample_ids.iter().enumerate() {
            let sums: Vec<String> = self
                .views(row)
                .map(crc32fast::hash)
                .map(|sum| format!("{sum:08x}"))
                .collect();
            println!("{id} {}", sums.join(" "));
        }
    }

    /// The views of a sample, in the recipe's order.
    fn views(&self, row: usize) -> impl Iterator<Item = &[u8]> {
        let groups = self.groups.iter().zip(&self.num_views);
        groups.flat_map(move |(bytes, num_views)| {
            let view_bytes = bytes.len() / num_views / self.batch_size;
            let of_row = move |view: usize| (view * self.batch_size + row) * view_bytes;
            (0..*num_views).map(move |view| &bytes[of_row(view)..][..view_bytes])
        })
    }
}
