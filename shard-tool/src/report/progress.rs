//! Progress on stderr: a bar, or a count where no total is known, on a terminal; else a plain line every few seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::counts::thousands;
use super::output::tell;

/// Time between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// A count of what is found, while nobody knows how much there is.
#[derive(Debug)]
pub(crate) struct Count {
    verb: &'static str,
    noun: &'static str,
    spinner: Option<ProgressBar>,
    last_line: Instant,
}

impl Count {
    /// Tells of `verb` so many `noun`.
    pub(crate) fn new(verb: &'static str, noun: &'static str) -> Self {
        Self {
            verb,
            noun,
            spinner: std::io::stderr()
                .is_terminal()
                .then(ProgressBar::new_spinner),
            last_line: Instant::now(),
        }
    }

    /// So many have been found.
    pub(crate) fn tell(&mut self, number: u64) {
        let text = || format!("{} {} {}", self.verb, thousands(number), self.noun);
        if let Some(spinner) = &self.spinner {
            spinner.set_message(text());
            spinner.tick();
        } else if self.last_line.elapsed() >= LINE_INTERVAL {
            tell!("{}", text());
            self.last_line = Instant::now();
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// Progress through a known number of images, or of bytes.
#[derive(Debug)]
pub(crate) struct Progress {
    verb: &'static str,
    bar: Option<ProgressBar>,
    total: u64,
    is_of_bytes: bool,
    done: u64,
    /// Bytes that were written before the start.
    bytes_before: u64,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// `verb` says what is being done: `packing`.
    pub(crate) fn new(verb: &'static str, num_images: u64) -> Self {
        Self::over(verb, num_images, false)
    }

    /// Like [`Progress::new`], where only the size of all images is known.
    pub(crate) fn over_bytes(verb: &'static str, num_bytes: u64) -> Self {
        Self::over(verb, num_bytes, true)
    }

    fn over(verb: &'static str, total: u64, is_of_bytes: bool) -> Self {
        let now = Instant::now();
        let is_shown = std::io::stderr().is_terminal();
        Self {
            verb,
            bar: is_shown.then(|| bar(verb, total, is_of_bytes)),
            total,
            is_of_bytes,
            done: 0,
            bytes_before: 0,
            started: now,
            last_line: now,
        }
    }

    /// So many bytes were written before this progress started.
    pub(crate) fn after_bytes(mut self, num_bytes: u64) -> Self {
        self.bytes_before = num_bytes;
        self
    }

    /// One more image is done; `num_bytes` have been written, or read, in all.
    pub(crate) fn step(&mut self, num_bytes: u64) {
        self.advance(1, num_bytes);
    }

    /// So many more images are done; `num_bytes` have passed in all.
    pub(crate) fn advance(&mut self, num_images: u64, num_bytes: u64) {
        self.done += num_images;
        let num_bytes = num_bytes - self.bytes_before;
        if let Some(bar) = &self.bar {
            bar.set_message(rate(self.done, num_bytes, self.started.elapsed()));
            bar.set_position(if self.is_of_bytes {
                num_bytes
            } else {
                self.done
            });
        } else if self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = Instant::now();
            tell!("{}", self.line(num_bytes, self.started.elapsed()));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, num_bytes: u64, elapsed: Duration) -> String {
        let (done, of_total) = match self.is_of_bytes {
            true => (num_bytes, String::new()),
            false => (self.done, format!("/{}", thousands(self.total))),
        };
        let (verb, images) = (self.verb, thousands(self.done));
        let done = (done.max(1) as f64 / self.total.max(1) as f64).min(1.0);
        let seconds_left = (elapsed.as_secs_f64() * (1.0 - done) / done).ceil() as u64;
        let rate = rate(self.done, num_bytes, elapsed);
        format!("{verb} {images}{of_total} images, {rate}, {seconds_left} s left")
    }
}

fn bar(verb: &'static str, total: u64, is_of_bytes: bool) -> ProgressBar {
    let template = match is_of_bytes {
        true => "{prefix} {bar:30} {bytes}/{total_bytes}, {msg}, {eta} left",
        false => "{prefix} {bar:30} {human_pos}/{human_len} images, {msg}, {eta} left",
    };
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
            bar: None,
            ..Progress::new("packing", 5_000)
        };
        let line = progress.line(8_000_000, Duration::from_secs(4));
        assert_eq!(
            line,
            "packing 2,000/5,000 images, 500 images/s, 2.0 MB/s, 6 s left"
        );
    }

    #[test]
    fn the_time_left_may_be_told_by_bytes() {
        let progress = Progress {
            done: 2_000,
            bar: None,
            ..Progress::over_bytes("indexing", 20_000_000)
        };
        let line = progress.line(8_000_000, Duration::from_secs(4));
        assert_eq!(
            line,
            "indexing 2,000 images, 500 images/s, 2.0 MB/s, 6 s left"
        );
    }
}
