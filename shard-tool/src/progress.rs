//! Progress on stderr: a bar on a terminal, else a plain line every few seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::thousands;

/// Time between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Progress through a known number of images.
#[derive(Debug)]
pub(crate) struct Progress {
    verb: &'static str,
    bar: Option<ProgressBar>,
    total: u64,
    done: u64,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// `verb` says what is being done: `packing`.
    pub(crate) fn new(verb: &'static str, total: u64) -> Self {
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| bar(verb, total));
        Self {
            verb,
            bar,
            total,
            done: 0,
            started: now,
            last_line: now,
        }
    }

    /// One more image is done; `num_bytes` have been written in all.
    pub(crate) fn step(&mut self, num_bytes: u64) {
        self.advance(1, num_bytes);
    }

    /// So many more images are done; `num_bytes` have passed in all.
    pub(crate) fn advance(&mut self, num_images: u64, num_bytes: u64) {
        self.done += num_images;
        if let Some(bar) = &self.bar {
            bar.set_message(rate(self.done, num_bytes, self.started.elapsed()));
            bar.inc(num_images);
        } else if self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = Instant::now();
            eprintln!("{}", self.line(num_bytes, self.started.elapsed()));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, num_bytes: u64, elapsed: Duration) -> String {
        let per_image = elapsed.as_secs_f64() / self.done.max(1) as f64;
        let seconds_left = (per_image * self.total.saturating_sub(self.done) as f64).ceil() as u64;
        format!(
            "{} {}/{} images, {}, {seconds_left} s left",
            self.verb,
            thousands(self.done),
            thousands(self.total),
            rate(self.done, num_bytes, elapsed),
        )
    }
}

fn bar(verb: &'static str, total: u64) -> ProgressBar {
    let template = "{prefix} {bar:30} {human_pos}/{human_len} images, {msg}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    ProgressBar::new(total).with_style(style).with_prefix(verb)
}

fn rate(num_images: u64, num_bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-3);
    let images_per_s = thousands((num_images as f64 / seconds) as u64);
    format!(
        "{images_per_s} images/s, {:.1} MB/s",
        num_bytes as f64 / 1e6 / seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_count_rate_and_time_left() {
        let progress = Progress {
            done: 2_000,
            total: 5_000,
            bar: None,
            ..Progress::new("packing", 5_000)
        };
        let line = progress.line(8_000_000, Duration::from_secs(4));
        assert_eq!(
            line,
            "packing 2,000/5,000 images, 500 images/s, 2.0 MB/s, 6 s left"
        );
    }
}
