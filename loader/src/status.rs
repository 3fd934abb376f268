//! `loader status`: a daemon's own account of itself, as a table or as JSON.

use std::time::Duration;

use loader_ipc::{
    CardMemory, Client, DaemonStatus, IpcError, RouteCount, StageStatus, SubscriberStatus,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the daemon at `socket`.
///
/// # Errors
/// When nobody answers there.
pub fn fetch(socket: &std::path::Path) -> Result<DaemonStatus, IpcError> {
    Client::connect(socket, TIMEOUT)?.status()
}

/// The table for people.
pub fn table(status: &DaemonStatus) -> String {
    let mut lines = vec![
        format!(
            "loader {} (pid {}), up {}",
            status.version,
            status.pid,
            duration(status.uptime_s)
        ),
        format!("data   {}", status.data.join(", ")),
        format!("socket {}", status.socket),
        format!("work   {} threads", status.num_workers),
    ];
    let failures: Vec<_> = status
        .failures
        .iter()
        .map(|count| format!("{} {}", count.num_samples, count.cause))
        .collect();
    lines.push(format!(
        "bad    {}",
        if failures.is_empty() {
            "none".to_owned()
        } else {
            failures.join(", ")
        }
    ));
    for RouteCount { route, num_images } in &status.routes {
        lines.push(format!("images {num_images} {route}"));
    }
    lines.extend(status.cards.iter().map(card_line));
    lines.push(String::new());
    if status.subscribers.is_empty() {
        lines.push("no subscribers".to_owned());
        return lines.join("\n");
    }
    lines.push(format!(
        "{:>3} {:<30} {:<8} {:>6} {:>14} {:>17} {:>9}",
        "#", "subscriber", "split", "rank", "epoch.step", "batches", "img/s"
    ));
    lines.extend(status.subscribers.iter().map(rows));
    lines.join("\n")
}

fn card_line(memory: &CardMemory) -> String {
    let (slots, in_flight) = (memory.slot_bytes >> 20, memory.in_flight_bytes >> 20);
    format!(
        "card   {}: {slots} MiB for slots, {in_flight} MiB for batches in flight",
        memory.card
    )
}

/// Two lines: where the subscriber is, then what makes its batches and who waits for whom; then the stages of its batches.
fn rows(subscriber: &SubscriberStatus) -> String {
    let rows = format!(
        "{:>3} {:<30.30} {:<8.8} {:>6} {:>14} {:>17} {:>9.1}\n    {}: the subscriber waits {:.1} %, the loader {:.1} %: {}",
        subscriber.id,
        format!("{:.16} (pid {})", subscriber.name, subscriber.pid),
        subscriber.split,
        format!("{}/{}", subscriber.rank, subscriber.world_size),
        format!("{}.{}", subscriber.epoch, subscriber.step),
        format!("{}/{}", subscriber.num_published, subscriber.num_batches),
        subscriber.images_per_s,
        subscriber.engine,
        100.0 * subscriber.consumer_wait,
        100.0 * subscriber.producer_wait,
        verdict(subscriber)
    );
    let stages = subscriber.stages.iter().map(stage);
    let head = format!(
        "    {:<30} {:>12} {:>10} {:>7}",
        "stage", "images", "ms/batch", "busy"
    );
    let lines = [rows, head].into_iter().chain(stages);
    let lines = lines.chain([format!("    {}", subscriber.bound)]);
    lines.collect::<Vec<_>>().join("\n")
}

fn stage(stage: &StageStatus) -> String {
    format!(
        "    {:<30} {:>12} {:>10.2} {:>5.1} %",
        stage.stage,
        stage.num_images,
        stage.ms_per_batch,
        100.0 * stage.busy
    )
}

/// Which side holds up the other.
fn verdict(subscriber: &SubscriberStatus) -> &'static str {
    if subscriber.num_published == subscriber.num_batches {
        return "all served";
    }
    match (
        subscriber.consumer_wait > 0.05,
        subscriber.producer_wait > 0.05,
    ) {
        (true, false) => "the loader is the slower side",
        (false, true) => "the subscriber is the slower side",
        _ => "balanced",
    }
}

fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use loader_ipc::CardId;

    use super::*;

    fn subscriber(consumer_wait: f64, producer_wait: f64) -> SubscriberStatus {
        SubscriberStatus {
            id: 1,
            pid: 4242,
            name: "dino".into(),
            split: "train".into(),
            rank: 0,
            world_size: 1,
            batch_size: 128,
            engine: "16 CPU threads".into(),
            epoch: 3,
            step: 17,
            num_published: 100,
            num_batches: 1000,
            images_per_s: 512.0,
            consumer_wait,
            producer_wait,
            stages: vec![StageStatus {
                stage: "decoding, hybrid back end".into(),
                num_images: 1_281_167_000,
                ms_per_batch: 12_345.678,
                busy: 0.5,
            }],
            bound: "what bounds the rate: 16 CPU threads, 99.0 %".into(),
        }
    }

    #[test]
    fn the_verdict_names_the_slower_side() {
        assert!(verdict(&subscriber(0.4, 0.0)).contains("loader"));
        assert!(verdict(&subscriber(0.0, 0.4)).contains("subscriber"));
        let done = SubscriberStatus {
            num_published: 1000,
            ..subscriber(0.4, 0.0)
        };
        assert_eq!(verdict(&done), "all served");
    }

    #[test]
    fn the_table_shows_position_and_rate() {
        let status = DaemonStatus {
            version: "0.1.0".into(),
            pid: 7,
            data: vec!["/data".into()],
            socket: "/run/loader.sock".into(),
            uptime_s: 3_725.0,
            num_workers: 2,
            failures: Vec::new(),
            routes: vec![RouteCount {
                route: "decoded by the CPU, views by the card".into(),
                num_images: 4096,
            }],
            cards: vec![CardMemory {
                card: CardId([7; 16]),
                slot_bytes: 96 << 20,
                in_flight_bytes: 1 << 30,
            }],
            subscribers: vec![SubscriberStatus {
                name: "a name that is longer than its column".into(),
                split: "unlabelled".into(),
                num_batches: 1_251_000,
                ..subscriber(0.0, 0.1)
            }],
        };
        let table = table(&status);
        for word in [
            "1:02:05",
            "4242",
            "3.17",
            "100/1251000",
            "512.0",
            "16 CPU threads",
            "none",
            "images 4096 decoded",
            "070707: 96 MiB for slots, 1024 MiB for batches",
            "the loader 10.0 %",
            "1281167000   12345.68  50.0 %",
            "what bounds the rate: 16 CPU threads",
        ] {
            assert!(table.contains(word), "{word} in\n{table}");
        }
        assert!(table.lines().all(|line| line.len() <= 100), "{table}");
    }
}
