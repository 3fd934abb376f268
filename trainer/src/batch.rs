//! From a lease of shared memory to a normalised tensor. The only unsafe room that touches leased memory.
//!
//! The views arrive as `u8 [views, batch, size, size, 3]`. The permutation to `[n, 3, size, size]` moves nothing: those strides
//! *are* channels-last. Normalising is one pass, into what the network computes in. On a card that is done beside the step before, which reads the bytes
//! where they lie, or follows a copy of them that nobody waits for. The slot is given back as soon as nothing reads from it any more.

use loader_card::Held;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use torch_shim::transfer;

/// Per-channel mean and standard deviation of pixel values in 0..=1 (`DATA.MEAN`, `DATA.STD`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    /// Mean of red, green, blue.
    pub mean: [f64; 3],
    /// Standard deviation of red, green, blue.
    pub std: [f64; 3],
}

/// Turns bytes into normalised values: `byte * scale + shift`, per channel.
#[derive(Debug)]
pub struct Normalizer {
    scale: Tensor,
    shift: Tensor,
    device: Device,
    kind: Kind,
}

/// Views of a batch of images, ready for a network.
#[derive(Debug)]
pub struct Batch {
    /// One tensor per view size, `[views * batch, 3, size, size]`, view-major, channels-last, normalised.
    pub views_nchw: Vec<Tensor>,
    /// Class of each image, -1 where unknown.
    pub labels: Vec<i64>,
    /// Index of each image in its split.
    pub sample_ids: Vec<u64>,
    /// Epoch, counted from 0.
    pub epoch: u64,
    /// Step within the epoch, counted from 0.
    pub step: u64,
}

impl Normalizer {
    /// A normaliser on `device`, whose values are of this kind.
    pub fn new(normalization: &Normalization, device: Device, kind: Kind) -> Normalizer {
        let Normalization { mean, std } = normalization;
        let per_channel = |f: &dyn Fn(usize) -> f64| {
            let values: Vec<f32> = (0..3).map(|channel| f(channel) as f32).collect();
            Tensor::from_slice(&values)
                .view([1, 3, 1, 1])
                .to_device(device)
        };
        Normalizer {
            scale: per_channel(&|c| 1.0 / (255.0 * std[c])),
            shift: per_channel(&|c| -mean[c] / std[c]),
            device,
            kind,
        }
    }

    /// `u8 [.., h, w, 3]` to normalised `[n, 3, h, w]` with channels-last strides, on the normaliser's device. A card does all of it on its side
    /// stream.
    pub fn apply(&self, bytes: &Tensor) -> Tensor {
        transfer::beside(self.device, || self.normalised(bytes))
    }

    fn normalised(&self, bytes: &Tensor) -> Tensor {
        let shape = bytes.size();
        let &[.., height, width, channels] = shape.as_slice() else {
            panic!("the shape of views is {shape:?}");
        };
        // Of a batch that is not full this is a copy: it has to be made where the bytes are known to be read.
        let bytes_nhwc = bytes.reshape([-1, height, width, channels]);
        let bytes_nhwc = transfer::to_device(&bytes_nhwc, self.device);
        let values_nhwc = Tensor::empty(bytes_nhwc.size(), (self.kind, self.device));
        let values_nchw = values_nhwc.permute([0, 3, 1, 2]);
        let bytes_nchw = bytes_nhwc.permute([0, 3, 1, 2]);
        self.shift
            .addcmul_out(&values_nchw, &bytes_nchw, &self.scale)
    }
}

impl Batch {
    /// Reads the valid images. The slot can be given back at once, as a stream of a card that reads it is known by then.
    pub fn of(held: &Held, normalizer: &Normalizer) -> Batch {
        let lease = held.lease();
        let num_valid = lease.num_valid();
        name_reader(held);
        let views_nchw = (0..lease.num_groups())
            .map(|group| group_views(held, group, num_valid as i64, normalizer))
            .collect();
        let mut labels = lease.labels();
        let mut sample_ids = lease.sample_ids();
        labels.truncate(num_valid);
        sample_ids.truncate(num_valid);
        Batch {
            views_nchw,
            labels,
            sample_ids,
            epoch: lease.epoch(),
            step: lease.step(),
        }
    }

    /// Number of images.
    pub fn batch_size(&self) -> i64 {
        self.labels.len() as i64
    }

    /// The labels on a device.
    pub fn labels_tensor(&self, device: Device) -> Tensor {
        transfer::to_device(&Tensor::from_slice(&self.labels), device)
    }
}

/// Views on a card are read by the stream on which they are normalised, and not by the one that computes: so a slot does not wait for the step before.
#[expect(unsafe_code, reason = "a stream is named by its handle")]
fn name_reader(held: &Held) {
    if let Held::Card(batch) = held {
        // SAFETY: libtorch keeps its streams as long as the process lives.
        unsafe { batch.read_by(transfer::side_stream_of(batch.device())) };
    }
}

/// The normalised views `[views * num_valid, 3, size, size]` of one group.
#[expect(
    unsafe_code,
    reason = "libtorch reads leased memory of the host or of a card in place"
)]
fn group_views(held: &Held, group: usize, num_valid: i64, normalizer: &Normalizer) -> Tensor {
    let bytes = held.lease().group(group);
    let shape = bytes.shape().map(|size| size as i64);
    assert_eq!(
        shape.iter().product::<i64>() as usize,
        bytes.len(),
        "the group's length follows from its shape"
    );
    let (address, device) = match held {
        Held::Host(_) => (bytes.as_ptr(), Device::Cpu),
        Held::Card(batch) => (
            std::ptr::with_exposed_provenance(batch.address(group) as usize),
            Device::Cuda(batch.device()),
        ),
    };
    // SAFETY: `address` is that of `len()` readable bytes on this device, and the assertion above makes the shape cover
    // exactly these. The mapping lives as long as `held`, which is borrowed for the whole of this function; the borrowing
    // tensor does not leave it, because `apply` returns a copy: it reads the bytes where they are, on the stream that is named as
    // their reader, or they are in pinned memory when the transfer returns. A peer that writes meanwhile can only change pixel
    // values: every byte is a valid u8.
    let borrowed = unsafe { Tensor::from_blob(address, &shape, &[], Kind::Uint8, device) };
    let valid = borrowed.narrow(1, 0, num_valid);
    normalizer.apply(&valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_a_batch_that_is_not_full_are_normalised_as_each_of_them_alone() {
        let normalization = Normalization {
            mean: [0.4, 0.5, 0.6],
            std: [0.2, 0.3, 0.1],
        };
        let normalizer = Normalizer::new(&normalization, Device::Cpu, Kind::Float);
        let (num_views, batch_size, num_valid) = (2, 3, 2);
        let shape = [num_views, batch_size, 4, 5, 3];
        let bytes = Tensor::arange(shape.iter().product::<i64>(), (Kind::Int64, Device::Cpu));
        let bytes = (bytes * 7).to_kind(Kind::Uint8).view(shape);
        let all = normalizer.apply(&bytes.narrow(1, 0, num_valid));
        assert_eq!(all.size(), [num_views * num_valid, 3, 4, 5]);
        for view in 0..num_views {
            for image in 0..num_valid {
                let alone = normalizer.apply(&bytes.get(view).get(image));
                assert!(all.narrow(0, view * num_valid + image, 1) == alone);
            }
        }
    }
}
