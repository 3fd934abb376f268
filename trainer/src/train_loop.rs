//! The only control flow of a run: validate, step, save, until the end, a stop, or a failure.
//!
//! Knows when things happen, not how: steps are the method's, batches the stream's, scores the validator's.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Normalizer};
use crate::batch_source::{BatchSource, Next};
use crate::checkpoint::{self, Position, State};
use crate::collapse::judge::Judge;
use crate::config::Settings;
use crate::failure::{self, Failure};
use crate::lines::{step_line, validation_line, validation_text};
use crate::method::{Method, StepRates};
use crate::metrics::{Metrics, StepLine};
use crate::non_finite::{self, Before, Tolerance};
use crate::optim::Rates;
use crate::out_of_memory::OutOfMemory;
use crate::progress::{Progress, Shown};
use crate::scalars::{Scalars, Sent};
use crate::schedule::RateSchedules;
use crate::stop::Stop;
use crate::validate::{Validated, Validator};

/// Spreads the seeds of steps: an odd number near 2^64 divided by the golden ratio.
const STEP_SEEDS: u64 = 0x9e37_79b9_7f4a_7c15;

/// Everything a run needs, made by [`crate::jobs`].
#[derive(Debug)]
pub struct TrainLoop {
    /// The settings.
    pub settings: Settings,
    /// The method with its state.
    pub model: Box<dyn Method>,
    /// Training batches.
    pub batches: Box<dyn BatchSource>,
    /// Validations; `None` where `VAL.PERIOD` is 0 or no loader answers.
    pub validator: Option<Validator>,
    /// Bytes to values, of the kind that the network computes in.
    pub normalizer: Normalizer,
    /// Files of numbers.
    pub metrics: Metrics,
    /// The screen.
    pub progress: Progress,
    /// Whether to stop.
    pub stop: Stop,
    /// Looks for collapse.
    pub judge: Judge,
    /// Steps without a finite loss.
    pub tolerance: Tolerance,
    /// Rates by step.
    pub rates: RateSchedules,
    /// What the next checkpoint will say; its position moves with the run.
    pub state: State,
    /// Where checkpoints go.
    pub checkpoints: PathBuf,
    /// How to continue after a stop.
    pub resume_command: String,
    /// Whether a step's numbers are read when the next one has been asked for, so that the device always has something to do. What is told of
    /// a step that went wrong is then told a step later, and the norms of its gradients are those of the next one.
    pub reads_late: bool,
    /// The step whose numbers were not read yet.
    pub asked: Option<Asked>,
}

/// A step that the device was asked for.
#[derive(Debug)]
pub struct Asked {
    /// Where the run was before it.
    position: Position,
    rates: StepRates,
    /// Its images have been let go of.
    batch: Batch,
    waited: Duration,
    before: Option<Before>,
    sent: Sent,
}

/// Why a pass through the loop ended without an error.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Done,
    Stopped,
}

impl TrainLoop {
    /// Trains from the state's position to the end.
    ///
    /// # Errors
    /// Every failure, and [`Failure::Stopped`] when a signal asked for the end. When the loader is lost the state is saved first.
    pub fn run(&mut self) -> Result<(), Failure> {
        let ended = self.steps_in_memory();
        let told = self.tell_asked(Instant::now());
        match told.and(ended) {
            Ok(End::Done) => {
                self.progress.finish();
                Ok(())
            }
            Ok(End::Stopped) => Err(self.stopped()),
            // A scheduler signals every process of a job: the loader may be gone before our step is done.
            Err(Failure::Loader(_)) if self.stop.is_asked() => Err(self.stopped()),
            Err(Failure::Loader(error)) => {
                self.progress.finish();
                let saved = self.save()?;
                self.progress.line(&format!("saved in {}", saved.display()));
                Err(error.into())
            }
            Err(failure) => {
                self.progress.finish();
                Err(failure)
            }
        }
    }

    /// Steps in all, as far as this run goes.
    pub fn total_steps(settings: &Settings, position: &Position, steps_per_epoch: u64) -> u64 {
        let scheduled = settings.schedules.total_epochs * steps_per_epoch;
        let left = scheduled - position.steps_of_schedule(steps_per_epoch);
        let whole = position.step + left;
        settings.max_steps.map_or(whole, |max| max.min(whole))
    }

    fn total(&self) -> u64 {
        let State {
            position,
            steps_per_epoch,
            ..
        } = &self.state;
        TrainLoop::total_steps(&self.settings, position, *steps_per_epoch)
    }

    /// The steps; where memory runs out, with who has it.
    fn steps_in_memory(&mut self) -> Result<End, Failure> {
        let ended = catch_unwind(AssertUnwindSafe(|| self.steps()));
        ended.unwrap_or_else(|panic| match failure::no_memory(&*panic) {
            Some(libtorch) => Err(self.out_of_memory(&libtorch)),
            None => resume_unwind(panic),
        })
    }

    fn out_of_memory(&self, libtorch: &str) -> Failure {
        let ended = OutOfMemory {
            settings: &self.settings,
            model: self.model.as_ref(),
            batches: self.batches.as_ref(),
            num_steps: self.state.position.step,
            is_validating: self.validator.is_some() && self.is_validation_due(self.total()),
            checkpoint: checkpoint::list(&self.checkpoints).pop(),
            resume_command: &self.resume_command,
        };
        Failure::Resources(ended.told(libtorch))
    }

    fn steps(&mut self) -> Result<End, Failure> {
        let total = self.total();
        if self.is_validation_due(total) && self.validate()? == End::Stopped {
            return Ok(End::Stopped);
        }
        while self.state.position.step < total {
            let start = Instant::now();
            match self.batches.next(&self.normalizer)? {
                Next::Batch(batch, waited) => self.step(batch, start, waited)?,
                Next::End => return Err(self.ended_early()),
                Next::Stopped => return Ok(End::Stopped),
            }
            let Position {
                step,
                step_in_epoch,
                ..
            } = self.state.position;
            let is_save_due = step_in_epoch == 0 || step == total;
            if is_save_due {
                self.tell_asked(start)?;
            }
            if self.is_validation_due(total) && self.validate()? == End::Stopped {
                return Ok(End::Stopped);
            }
            if is_save_due {
                self.save_or_warn(total)?;
            }
            if self.stop.is_asked() && step < total {
                return Ok(End::Stopped);
            }
        }
        Ok(End::Done)
    }

    fn step(&mut self, mut batch: Batch, start: Instant, waited: Duration) -> Result<(), Failure> {
        let rates = self.rates_now();
        let has_room = self.tolerance.has_room();
        let before = has_room.then(|| Before::of(self.model.as_ref()));
        let sent = self.model.step(&batch, rates).send();
        batch.views_nchw.clear();
        let asked = Asked {
            position: self.state.position,
            rates,
            batch,
            waited,
            before,
            sent,
        };
        self.advance();
        if !self.reads_late {
            return self.tell(asked, start.elapsed());
        }
        let previous = self.asked.replace(asked);
        previous.map_or(Ok(()), |previous| self.tell(previous, start.elapsed()))
    }

    /// Reads what was not read yet, if anything was.
    fn tell_asked(&mut self, start: Instant) -> Result<(), Failure> {
        let asked = self.asked.take();
        asked.map_or(Ok(()), |asked| self.tell(asked, start.elapsed()))
    }

    /// Reads the numbers of a step and does what they ask for.
    fn tell(&mut self, asked: Asked, took: Duration) -> Result<(), Failure> {
        let Asked {
            position,
            rates,
            batch,
            waited,
            before,
            sent,
        } = asked;
        let values = sent.read();
        let mut line = step_line(position, &batch, rates, &values, took, waited);
        match values.non_finite() {
            Some(what) => self.skip_or_end(what, &line, &values, &batch, before)?,
            None => self.tolerance.go_on(),
        }
        let skipped = self.tolerance.num_skipped().map(|count| count as f64);
        let skipped = skipped.map(|count| ("skipped_steps".to_owned(), Some(count)));
        line.others.extend(skipped);
        self.metrics.step(&line);
        let Some(loss) = line.loss else {
            return Ok(());
        };
        self.progress.step(&Shown {
            epoch: line.epoch,
            total_epochs: self.settings.schedules.total_epochs,
            step: line.step,
            total_steps: self.total(),
            loss,
            lr: line.lr,
            momentum: self.settings.method.has_average().then_some(line.momentum),
            images_per_s: line.images_per_s,
            data_wait: waited,
        });
        self.look_for_collapse(&values, line.step)
    }

    /// Ends a run only where that is asked for: a person may know better.
    fn look_for_collapse(&mut self, values: &Scalars, step: u64) -> Result<(), Failure> {
        let Some(finding) = self.judge.see(values) else {
            return Ok(());
        };
        let does_stop = self.settings.stop_on_collapse;
        let remedy = self.model.remedy(finding.collapse);
        let next = if does_stop {
            "the run ends"
        } else {
            "training goes on"
        };
        self.progress
            .warning(&format!("{finding}; step {step}; {remedy}; {next}"));
        if does_stop {
            let checkpoint = self.save()?;
            return Err(Failure::Collapsed { step, checkpoint });
        }
        Ok(())
    }

    fn rates_now(&self) -> StepRates {
        let Position { step, epoch, .. } = self.state.position;
        let steps_per_epoch = self.state.steps_per_epoch;
        let scheduled = self.state.position.steps_of_schedule(steps_per_epoch);
        StepRates {
            epoch,
            optimizer: Rates {
                lr: self.rates.lr.at(scheduled),
                weight_decay: self.rates.weight_decay.at(scheduled),
            },
            momentum: self.rates.momentum.at(scheduled),
            teacher_temp: self.settings.schedules.teacher_temp.at(epoch),
            seed: (self.settings.seed ^ step.wrapping_mul(STEP_SEEDS)) as i64,
        }
    }

    fn advance(&mut self) {
        let position = &mut self.state.position;
        position.step += 1;
        position.step_in_epoch += 1;
        position.is_validated = false;
        if position.step_in_epoch == self.state.steps_per_epoch {
            position.epoch += 1;
            position.step_in_epoch = 0;
        }
    }

    /// Before the first step, after every `VAL.PERIOD`-th epoch, and at the end of the run.
    fn is_validation_due(&self, total: u64) -> bool {
        let Position {
            step,
            epoch,
            step_in_epoch,
            is_validated,
        } = self.state.position;
        let Some(period) = self.settings.val_period else {
            return false;
        };
        let at_period = step_in_epoch == 0 && epoch.is_multiple_of(period);
        !is_validated && (at_period || step == total)
    }

    fn validate(&mut self) -> Result<End, Failure> {
        let Some(validator) = &self.validator else {
            return Ok(End::Done);
        };
        let start = Instant::now();
        let validated = validator.run(self.model.as_ref(), &self.stop)?;
        let Validated::Done(found) = validated else {
            return Ok(End::Stopped);
        };
        let line = validation_line(&self.state.position, validator.split, &found);
        self.metrics.validation(&line);
        self.progress.line(&validation_text(&line, start.elapsed()));
        self.state.position.is_validated = true;
        Ok(End::Done)
    }

    fn save(&self) -> Result<PathBuf, Failure> {
        let path = checkpoint::save(&self.checkpoints, &self.state, &self.model.state())?;
        let pruned = checkpoint::prune(&self.checkpoints, self.settings.checkpoints);
        for done in [checkpoint::point_to(&path), pruned] {
            if let Err(error) = done {
                self.progress.warning(&error.to_string());
            }
        }
        Ok(path)
    }

    /// A full disk must not end a long run: it goes on with a warning, and only fails if the last save fails too.
    fn save_or_warn(&self, total: u64) -> Result<(), Failure> {
        match self.save() {
            Err(failure) if self.state.position.step < total => {
                self.progress.warning(&format!(
                    "{failure}; training goes on without this checkpoint"
                ));
                Ok(())
            }
            result => result.map(|_| ()),
        }
    }

    fn stopped(&self) -> Failure {
        self.progress.finish();
        match self.save() {
            Ok(checkpoint) => Failure::Stopped {
                step: self.state.position.step,
                checkpoint,
                resume_command: self.resume_command.clone(),
            },
            Err(failure) => failure,
        }
    }

    fn ended_early(&self) -> Failure {
        let Position { step, epoch, .. } = self.state.position;
        Failure::Data(format!(
            "the loader had no more batches than {step}; epoch {}; continue the run",
            epoch + 1
        ))
    }

    /// Undoes the step where there is a way back to the state before it, else ends the run.
    fn skip_or_end(
        &mut self,
        what: &'static str,
        line: &StepLine,
        values: &Scalars,
        batch: &Batch,
        before: Option<Before>,
    ) -> Result<(), Failure> {
        let report = non_finite::report(&self.settings, self.model.as_ref(), batch, line, values)?;
        let Some(before) = before else {
            return Err(Failure::NotFinite {
                what,
                step: line.step,
                report,
                checkpoint: checkpoint::list(&self.checkpoints).pop(),
            });
        };
        before.restore();
        self.tolerance.skip();
        let (step, report) = (line.step, report.display());
        self.progress.warning(&format!(
            "{what} is no number at step {step}, which is skipped; {report}; training goes on"
        ));
        Ok(())
    }
}
