//! A batch in C's hands: its slot is taken until the handle is released.

use std::ptr;

use loader_card::Held;

use crate::failure::Failure;
use crate::handle::Kind;
use crate::table::Table;
use crate::types::{
    Pointing, SSLIGHT_DEVICE_CPU, SSLIGHT_DEVICE_CUDA, SslightBatch, SslightHandle, SslightViews,
};

/// All that this process holds.
pub(crate) static BATCHES: Table<Batch> = Table::new(Kind::Batch);

/// Where pixels lie, in DLPack's words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Device {
    kind: i32,
    number: i32,
}

/// A batch of the ring, and what C reads of it.
#[derive(Debug)]
pub(crate) struct Batch {
    held: Held,
    labels: Vec<i64>,
    ids: Vec<u64>,
    views: Pointing<SslightViews>,
}

impl Batch {
    pub(crate) fn new(held: Held) -> Batch {
        let lease = held.lease();
        let of_group = |index: usize| {
            let group = lease.group(index);
            let (data, device) = match &held {
                Held::Host(_) => (group.as_ptr(), Device::HOST),
                Held::Card(batch) => {
                    let address = batch.address(index) as usize;
                    (
                        ptr::with_exposed_provenance(address),
                        Device::card(batch.device()),
                    )
                }
            };
            views(data, group.shape(), device)
        };
        Batch {
            views: Pointing((0..lease.num_groups()).map(of_group).collect()),
            labels: lease.labels(),
            ids: lease.sample_ids(),
            held,
        }
    }

    /// Says that a stream of the card reads it.
    ///
    /// # Safety
    /// The stream lives until this is dropped.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn read_by(&self, stream: usize) -> Result<(), Failure> {
        let Held::Card(batch) = &self.held else {
            let words = "these views lie in main memory, which no stream of a card reads in place";
            return Err(Failure::usage(words));
        };
        // SAFETY: the caller's promise.
        unsafe { batch.read_by(stream) };
        Ok(())
    }

    /// As C reads it; `after` is the epoch and step to go on with.
    pub(crate) fn describe(&self, handle: SslightHandle, after: (u64, u64)) -> SslightBatch {
        SslightBatch {
            handle,
            epoch: self.held.lease().epoch(),
            step: self.held.lease().step(),
            next_epoch: after.0,
            next_step: after.1,
            num_valid: self.held.lease().num_valid(),
            labels: self.labels.as_ptr(),
            ids: self.ids.as_ptr(),
            num_groups: self.views.0.len(),
            views: self.views.0.as_ptr(),
        }
    }
}

impl Device {
    pub(crate) const HOST: Device = Device {
        kind: SSLIGHT_DEVICE_CPU,
        number: 0,
    };

    pub(crate) fn card(number: usize) -> Device {
        Device {
            kind: SSLIGHT_DEVICE_CUDA,
            number: number as i32,
        }
    }
}

/// Views of this shape.
pub(crate) fn views(data: *const u8, shape: [usize; 5], device: Device) -> SslightViews {
    SslightViews {
        data,
        shape: shape.map(|side| side as i64),
        device_type: device.kind,
        device_id: device.number,
    }
}
