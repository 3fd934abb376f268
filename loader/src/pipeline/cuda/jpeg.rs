//! A JPEG file that the card decodes: what is copied to it, and where its planes and its pixels lie there. Arithmetic alone.

use nvjpeg::Picture;

use crate::decode;

/// Alignment of planes and of their rows.
const ALIGN: usize = 16;

/// One file of a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jpeg {
    /// The batch's row that shows it.
    pub(super) row: usize,
    /// Where its bytes lie in the staging memory.
    pub(super) offset: usize,
    /// How many there are.
    pub(super) num_bytes: usize,
    /// What its header says.
    pub(super) picture: Picture,
    /// Where planes and pixels lie in the memory for what is decoded.
    pub(super) decoded: usize,
}

/// Bytes that planes and pixels of a picture take, so many that what follows is aligned.
pub(super) fn decoded_bytes(picture: &Picture) -> usize {
    (pixels_offset(picture) + num_pixels(picture) * 3).next_multiple_of(ALIGN)
}

/// Bytes from the planes to the pixels.
pub(super) fn pixels_offset(picture: &Picture) -> usize {
    let components = 0..usize::from(picture.num_components);
    components
        .map(|component| plane_bytes(picture, component))
        .sum()
}

pub(super) fn num_pixels(picture: &Picture) -> usize {
    picture.width as usize * picture.height as usize
}

fn pitch(picture: &Picture, component: usize) -> u32 {
    picture.plane(component).0.next_multiple_of(ALIGN as u32)
}

fn plane_bytes(picture: &Picture, component: usize) -> usize {
    pitch(picture, component) as usize * picture.plane(component).1 as usize
}

impl Jpeg {
    /// Where nvJPEG writes, in memory that begins at `memory`.
    pub(super) fn planes(&self, memory: u64) -> nvjpeg::Planes {
        let mut planes = nvjpeg::Planes {
            address: [0; 3],
            pitch: [0; 3],
        };
        let mut address = memory + self.decoded as u64;
        for component in 0..usize::from(self.picture.num_components) {
            planes.address[component] = address;
            planes.pitch[component] = pitch(&self.picture, component);
            address += plane_bytes(&self.picture, component) as u64;
        }
        planes
    }

    /// What the kernel that makes pixels of planes is told.
    pub(super) fn descriptor(&self, memory: u64) -> decode::Planes {
        let planes = self.planes(memory);
        let Picture {
            width,
            height,
            across,
            down,
            ..
        } = self.picture;
        decode::Planes {
            luma: planes.address[0],
            blue: planes.address[1],
            red: planes.address[2],
            out: memory + (self.decoded + pixels_offset(&self.picture)) as u64,
            luma_stride: planes.pitch[0],
            chroma_stride: planes.pitch[1],
            width,
            height,
            across,
            down,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_and_pixels_lie_one_after_the_other() {
        let picture = Picture {
            width: 35,
            height: 21,
            num_components: 3,
            across: 2,
            down: 2,
        };
        let jpeg = Jpeg {
            row: 0,
            offset: 0,
            num_bytes: 0,
            picture,
            decoded: 64,
        };
        let planes = jpeg.planes(1024);
        assert_eq!(planes.pitch, [48, 32, 32]);
        assert_eq!(
            planes.address,
            [1088, 1088 + 48 * 21, 1088 + 48 * 21 + 32 * 11]
        );
        let out = jpeg.descriptor(1024).out;
        assert_eq!(out, planes.address[2] + 32 * 11);
        assert_eq!(
            1088 + decoded_bytes(&picture) as u64,
            (out + 35 * 21 * 3).next_multiple_of(16)
        );
        let grey = Picture {
            num_components: 1,
            across: 1,
            down: 1,
            ..picture
        };
        let jpeg = Jpeg {
            picture: grey,
            ..jpeg
        };
        assert_eq!(jpeg.descriptor(1024).blue, 0);
        assert_eq!(
            decoded_bytes(&grey),
            (48 * 21 + 35 * 21 * 3usize).next_multiple_of(16)
        );
    }
}
