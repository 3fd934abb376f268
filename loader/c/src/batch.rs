//! A batch in C's hands: its slot is taken until the handle is released.

use loader_ipc::Lease;

use crate::handle::Kind;
use crate::table::Table;
use crate::types::{Pointing, SSLIGHT_DEVICE_CPU, SslightBatch, SslightHandle, SslightViews};

/// All that this process holds.
pub(crate) static BATCHES: Table<Batch> = Table::new(Kind::Batch);

/// A lease, and what C reads of it.
#[derive(Debug)]
pub(crate) struct Batch {
    lease: Lease,
    labels: Vec<i64>,
    ids: Vec<u64>,
    views: Pointing<SslightViews>,
}

impl Batch {
    pub(crate) fn new(lease: Lease) -> Batch {
        let groups = (0..lease.num_groups()).map(|index| lease.group(index));
        let views = groups.map(|group| views(group.as_ptr(), group.shape()));
        Batch {
            views: Pointing(views.collect()),
            labels: lease.labels(),
            ids: lease.sample_ids(),
            lease,
        }
    }

    /// As C reads it; `after` is the epoch and step to go on with.
    pub(crate) fn describe(&self, handle: SslightHandle, after: (u64, u64)) -> SslightBatch {
        SslightBatch {
            handle,
            epoch: self.lease.epoch(),
            step: self.lease.step(),
            next_epoch: after.0,
            next_step: after.1,
            num_valid: self.lease.num_valid(),
            labels: self.labels.as_ptr(),
            ids: self.ids.as_ptr(),
            num_groups: self.views.0.len(),
            views: self.views.0.as_ptr(),
        }
    }
}

/// Views of this shape in main memory.
pub(crate) fn views(data: *const u8, shape: [usize; 5]) -> SslightViews {
    SslightViews {
        data,
        shape: shape.map(|side| side as i64),
        device_type: SSLIGHT_DEVICE_CPU,
        device_id: 0,
    }
}
