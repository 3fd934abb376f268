//! What the stages of a batch take on its stream, told by events between them. They are read once all are passed, so nobody waits for a time.
#![allow(unsafe_code)]

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{CudaContext, CudaEvent, CudaStream, result, sys};
use loader_card::{CardError, failed};

use crate::pipeline::stages::{Stage, Stages};

/// Stages that a stream may have.
const MOST: usize = 5;

/// The marks of one batch on its stream: one where it begins, one at the end of each stage.
#[derive(Debug)]
pub(super) struct Marks {
    begin: CudaEvent,
    ends: [CudaEvent; MOST],
    /// The stages that have an end, and their images. `None` before the beginning.
    stages: Option<Vec<(Stage, usize)>>,
}

impl Marks {
    pub(super) fn new(context: &Arc<CudaContext>) -> Result<Marks, CardError> {
        let event = || new_event(context);
        Ok(Marks {
            begin: event()?,
            ends: [event()?, event()?, event()?, event()?, event()?],
            stages: None,
        })
    }

    /// Begins anew. What was marked and not read is forgotten.
    pub(super) fn begin(&mut self, stream: &CudaStream) -> Result<(), CardError> {
        self.stages = Some(Vec::with_capacity(MOST));
        record(&self.begin, stream)
    }

    /// Begins if nothing has begun.
    pub(super) fn begin_once(&mut self, stream: &CudaStream) -> Result<(), CardError> {
        match self.stages {
            Some(_) => Ok(()),
            None => self.begin(stream),
        }
    }

    /// Ends a stage, unless it is of no image: what was put onto the stream since the mark before belongs to it.
    pub(super) fn end(
        &mut self,
        stream: &CudaStream,
        stage: Stage,
        num_images: usize,
    ) -> Result<(), CardError> {
        match &mut self.stages {
            Some(stages) if num_images > 0 => {
                record(&self.ends[stages.len()], stream)?;
                stages.push((stage, num_images));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Adds up what is marked. The stream has passed all of it. Where nothing has begun there is no beginning for the clock to take.
    pub(super) fn read(&mut self, clock: &Clock, sums: &Stages) -> Result<(), CardError> {
        let Some(stages) = self.stages.take() else {
            return Ok(());
        };
        let ends = self.ends.iter().take(stages.len());
        let ends = ends.map(|end| seconds(&self.begin, end));
        let ends = ends.collect::<Result<Vec<_>, _>>()?;
        let begin_s = clock.read(&mut self.begin)?;
        let mut from_s = begin_s;
        for ((stage, num_images), end_s) in stages.into_iter().zip(ends) {
            sums.add_span(stage, num_images, from_s, begin_s + end_s);
            from_s = begin_s + end_s;
        }
        Ok(())
    }
}

/// The time of a card, which all of its streams share: the event that was read last, and when it was.
#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Option<(CudaEvent, f64)>>);

impl Clock {
    /// When an event was passed. The driver tells what lies between two events as a float, which is exact for short times alone; so each is
    /// told from the one before, and kept for the next: another takes its place.
    fn read(&self, event: &mut CudaEvent) -> Result<f64, CardError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now_s = match &*last {
            Some((before, before_s)) => before_s + seconds(before, event)?,
            None => 0.0,
        };
        let spare = match last.take() {
            Some((spare, _)) => spare,
            None => new_event(event.context())?,
        };
        *last = Some((mem::replace(event, spare), now_s));
        Ok(now_s)
    }
}

fn new_event(context: &Arc<CudaContext>) -> Result<CudaEvent, CardError> {
    let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
    context.new_event(flags).map_err(failed("making an event"))
}

fn record(event: &CudaEvent, stream: &CudaStream) -> Result<(), CardError> {
    let recorded = event.record(stream);
    recorded.map_err(failed("recording the end of a stage"))
}

fn seconds(from: &CudaEvent, to: &CudaEvent) -> Result<f64, CardError> {
    // SAFETY: both live.
    let milliseconds = unsafe { result::event::elapsed(from.cu_event(), to.cu_event()) };
    let milliseconds = milliseconds.map_err(failed("asking what a stage has taken"))?;
    Ok(f64::from(milliseconds) / 1e3)
}
