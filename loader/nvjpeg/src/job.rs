//! One image of a batch: where its bytes are, what its header says, where its planes go.

use crate::handles::Destination;
use crate::picture::Picture;

/// Device memory for Y, Cb and Cr, or Y alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planes {
    /// Addresses on the device.
    pub address: [u64; 3],
    /// Bytes from a row to the next; at least the plane's columns.
    pub pitch: [u32; 3],
}

/// An image that is to be decoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'i> {
    /// Its place in the batch.
    pub(crate) at: usize,
    pub(crate) jpeg: &'i [u8],
    pub(crate) picture: Picture,
    pub(crate) planes: Planes,
}

impl Job<'_> {
    pub(crate) fn destination(&self) -> Destination {
        let mut destination = Destination {
            channel: [std::ptr::null_mut(); 4],
            pitch: [0; 4],
        };
        for plane in 0..usize::from(self.picture.num_components) {
            destination.channel[plane] =
                std::ptr::without_provenance_mut(self.planes.address[plane] as usize);
            destination.pitch[plane] = self.planes.pitch[plane] as usize;
        }
        destination
    }
}
