//! What a person sees while a run goes on: a live line on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{show, tell};

/// The screen of a run.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    log_step: u64,
    started: Instant,
    /// Steps that were done before the start.
    done_before: u64,
}

/// One step as shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// Epoch, counted from 1.
    pub epoch: u64,
    /// Epochs of the run.
    pub total_epochs: u64,
    /// Steps done.
    pub step: u64,
    /// Steps of the run.
    pub total_steps: u64,
    /// Self-supervised loss.
    pub loss: f64,
    /// Learning rate.
    pub lr: f64,
    /// Momentum of the average that follows the network, where there is one.
    pub momentum: Option<f64>,
    /// Images per second of this step.
    pub images_per_s: f64,
    /// Time of this step spent waiting for data.
    pub data_wait: Duration,
}

impl Progress {
    /// A live line where standard error is a terminal, else a line every `log_step` steps.
    pub fn new(total_steps: u64, done: u64, log_step: u64) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(
                Some(total_steps),
                ProgressDrawTarget::stderr_with_hz(5),
            );
            let style = "{bar:24} {pos}/{len} {msg}  left {eta}";
            bar.set_style(ProgressStyle::with_template(style).expect("the template is valid"));
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        Progress {
            bar,
            log_step,
            started: Instant::now(),
            done_before: done,
        }
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        self.without_bar(|| show!("{text}"));
    }

    /// A warning.
    pub fn warning(&self, text: &str) {
        self.without_bar(|| tell!("warning: {text}"));
    }

    fn without_bar(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// A step was done.
    pub fn step(&self, shown: &Shown) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(shown.step);
                bar.set_message(shown.to_string());
            }
            None if shown.step.is_multiple_of(self.log_step) || shown.step == 1 => {
                let left = HumanDuration(self.time_left(shown));
                show!(
                    "step {}/{} {shown} left {left:#}",
                    shown.step,
                    shown.total_steps
                );
            }
            None => {}
        }
    }

    /// At the mean speed since the start, validations included.
    fn time_left(&self, shown: &Shown) -> Duration {
        let num_done = shown.step.saturating_sub(self.done_before).max(1);
        let num_left = shown.total_steps.saturating_sub(shown.step);
        self.started
            .elapsed()
            .mul_f64(num_left as f64 / num_done as f64)
    }

    /// Takes the live line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "epoch {}/{} loss {:.4} lr {:.2e} ",
            self.epoch, self.total_epochs, self.loss, self.lr
        )?;
        if let Some(momentum) = self.momentum {
            write!(f, "momentum {momentum:.4} ")?;
        }
        let wait_ms = self.data_wait.as_millis();
        write!(f, "{:.1} img/s waited {wait_ms} ms", self.images_per_s)
    }
}
