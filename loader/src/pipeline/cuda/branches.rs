//! Streams beside a lane's own. Work between a fork and a join may run on all of them at once; what the lane's stream does after the join comes after it.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaEvent, CudaStream, sys};
use loader_card::{CardError, failed};

use crate::pipeline::cuda::card::Card;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Branches {
    forked: CudaEvent,
    branches: Vec<Branch>,
}

#[derive(Debug)]
struct Branch {
    stream: Arc<CudaStream>,
    joined: CudaEvent,
}

impl Branches {
    pub(super) fn new(context: &Arc<CudaContext>, num: usize) -> Result<Branches, CardError> {
        let branch = |_| {
            let stream = context.new_stream();
            Ok(Branch {
                stream: stream.map_err(failed("making a stream"))?,
                joined: new_event(context)?,
            })
        };
        Ok(Branches {
            forked: new_event(context)?,
            branches: (0..num).map(branch).collect::<Result<_, CardError>>()?,
        })
    }

    /// The streams, for libraries.
    pub(super) fn raw(&self) -> Vec<sys::CUstream> {
        let streams = self.branches.iter();
        streams.map(|branch| branch.stream.cu_stream()).collect()
    }

    /// What is put onto the branches from now on comes after what is on `trunk`.
    pub(super) fn fork(&self, trunk: &CudaStream) -> Result<(), CardError> {
        let forked = self.forked.record(trunk);
        forked.map_err(failed("forking a stream"))?;
        for branch in &self.branches {
            let waits = branch.stream.wait(&self.forked);
            waits.map_err(failed("forking a stream"))?;
        }
        Ok(())
    }

    /// What is put onto `trunk` from now on comes after what is on the branches.
    pub(super) fn join(&self, trunk: &CudaStream) -> Result<(), CardError> {
        for Branch { stream, joined } in &self.branches {
            joined.record(stream).map_err(failed("joining a stream"))?;
            trunk.wait(joined).map_err(failed("joining a stream"))?;
        }
        Ok(())
    }

    /// Waits until one of them has nothing to do.
    pub(super) fn wait_for(&self, nth: usize, card: &Card) -> Result<(), CardError> {
        card.wait_for(&self.branches[nth].stream)
    }

    /// Waits until they have nothing to do: after a join that failed nothing else does.
    pub(super) fn wait(&self, card: &Card) -> Result<(), CardError> {
        self.branches
            .iter()
            .try_for_each(|branch| card.wait_for(&branch.stream))
    }
}

fn new_event(context: &Arc<CudaContext>) -> Result<CudaEvent, CardError> {
    let flags = Some(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING);
    context.new_event(flags).map_err(failed("making an event"))
}
