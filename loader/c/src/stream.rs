//! A subscription.

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use loader_card::Reader;
use loader_ipc::StreamInfo;

use crate::batch::{BATCHES, Batch, Device, views};
use crate::failure::Failure;
use crate::handle::Kind;
use crate::table::Table;
use crate::types::{Pointing, SslightBatch, SslightStreamInfo, SslightViews};

/// All that this process has subscribed to.
pub(crate) static STREAMS: Table<Stream> = Table::new(Kind::Stream);

/// A stream of batches, and its description as C reads it.
#[derive(Debug)]
pub(crate) struct Stream {
    reader: Mutex<Reader>,
    info: StreamInfo,
    _class_names: Vec<CString>,
    classes: Pointing<*const c_char>,
    views: Pointing<SslightViews>,
    not_on_card: Option<CString>,
}

impl Stream {
    pub(crate) fn new(reader: Reader) -> Stream {
        let info = reader.info().clone();
        let class_names: Vec<CString> = info.classes.iter().map(|name| as_c(name)).collect();
        // The text of a `CString` stays where it is when that is moved.
        let classes = class_names.iter().map(|name| name.as_ptr()).collect();
        let sides = |tensor: &loader_ipc::TensorLayout| {
            let side = tensor.group.size as usize;
            let batch_size = reader.layout().batch_size;
            [tensor.group.num_views, batch_size, side, side, 3]
        };
        let device = reader.device().map_or(Device::HOST, Device::card);
        let tensors = reader.layout().tensors.iter();
        let views = tensors.map(|tensor| views(ptr::null(), sides(tensor), device));
        Stream {
            views: Pointing(views.collect()),
            classes: Pointing(classes),
            _class_names: class_names,
            not_on_card: reader.not_on_card().map(|reason| as_c(&reason.to_string())),
            reader: Mutex::new(reader),
            info,
        }
    }

    pub(crate) fn describe(&self) -> SslightStreamInfo {
        let info = &self.info;
        SslightStreamInfo {
            loader_pid: info.pid,
            batch_size: info.geometry.batch_size,
            num_slots: info.geometry.num_slots,
            num_samples: info.num_samples,
            num_unlabelled: info.num_unlabelled,
            steps_per_epoch: info.steps_per_epoch,
            num_batches: info.num_batches,
            num_classes: self.classes.0.len(),
            classes: self.classes.0.as_ptr(),
            num_groups: self.views.0.len(),
            views: self.views.0.as_ptr(),
            not_on_card: self
                .not_on_card
                .as_ref()
                .map_or(ptr::null(), |it| it.as_ptr()),
        }
    }

    /// The next batch; `None` after the last.
    pub(crate) fn next(&self, timeout: Duration) -> Result<Option<SslightBatch>, Failure> {
        let mut reader = match self.reader.try_lock() {
            Ok(reader) => reader,
            Err(TryLockError::Poisoned(reader)) => reader.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(two_threads()),
        };
        let Some(held) = reader.receive(timeout)? else {
            return Ok(None);
        };
        let after = self.after(held.lease().epoch(), held.lease().step());
        let (handle, batch) = BATCHES.keep(Batch::new(held));
        Ok(Some(batch.describe(handle, after)))
    }

    /// Where a stream goes on after this batch.
    fn after(&self, epoch: u64, step: u64) -> (u64, u64) {
        match step + 1 < self.info.steps_per_epoch {
            true => (epoch, step + 1),
            false => (epoch + 1, 0),
        }
    }
}

/// A text with a zero inside ends there, as C sees it.
fn as_c(text: &str) -> CString {
    let text = text.split('\0').next().unwrap_or_default();
    CString::new(text).unwrap_or_default()
}

fn two_threads() -> Failure {
    Failure::usage(
        "another thread waits in this stream; let one thread take its batches, or subscribe once for each",
    )
}
