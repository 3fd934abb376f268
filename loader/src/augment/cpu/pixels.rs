//! Some pixels at a time, channel by channel, so that one instruction works on many of them.
//!
//! It knows nothing of views nor of what is done to them in which order.

/// Pixels that a sweep works on at a time.
pub(super) const LANES: usize = 64;

/// One value of each of the pixels at hand.
pub(super) type Lane = [u8; LANES];

/// The pixels at hand, channel by channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pixels {
    pub(super) red: Lane,
    pub(super) green: Lane,
    pub(super) blue: Lane,
}

impl Pixels {
    #[inline(always)]
    pub(super) fn split(chunk: &[u8; LANES * 3]) -> Self {
        let mut pixels = Pixels {
            red: [0; LANES],
            green: [0; LANES],
            blue: [0; LANES],
        };
        for lane in 0..LANES {
            pixels.red[lane] = chunk[3 * lane];
            pixels.green[lane] = chunk[3 * lane + 1];
            pixels.blue[lane] = chunk[3 * lane + 2];
        }
        pixels
    }

    #[inline(always)]
    pub(super) fn join(&self) -> [u8; LANES * 3] {
        let mut chunk = [0; LANES * 3];
        for lane in 0..LANES {
            chunk[3 * lane] = self.red[lane];
            chunk[3 * lane + 1] = self.green[lane];
            chunk[3 * lane + 2] = self.blue[lane];
        }
        chunk
    }

    /// ITU-R 601 luma in 16-bit fixed point, Pillow's `convert("L")`.
    #[inline(always)]
    pub(super) fn grey(&self) -> Lane {
        let mut grey = [0; LANES];
        for (lane, grey) in grey.iter_mut().enumerate() {
            let red = u32::from(self.red[lane]) * 19595;
            let green = u32::from(self.green[lane]) * 38470;
            let blue = u32::from(self.blue[lane]) * 7471;
            *grey = ((red + green + blue + 0x8000) >> 16) as u8;
        }
        grey
    }

    #[inline(always)]
    pub(super) fn blend(&mut self, from: &Lane, factor: f32) {
        for channel in [&mut self.red, &mut self.green, &mut self.blue] {
            for lane in 0..LANES {
                channel[lane] = blend(from[lane], channel[lane], factor);
            }
        }
    }
}

/// Pillow's `Image.blend`: in single precision, clipped, truncated.
#[inline(always)]
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let difference = i16::from(to) - i16::from(from);
    let blended = f32::from(from) + factor * f32::from(difference);
    truncated(blended.clamp(0.0, 255.0))
}

/// The whole part of a number in `0.0..=255.0`, in operations that every vector unit has.
#[inline(always)]
pub(super) fn truncated(value: f32) -> u8 {
    const ULP_IS_ONE: f32 = (1 << 23) as f32;
    let shifted = value + ULP_IS_ONE;
    let rounded_up = u32::from(shifted - ULP_IS_ONE > value);
    shifted.to_bits().wrapping_sub(rounded_up) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_is_that_of_a_cast() {
        for step in 0..=255 * 64 {
            let value = step as f32 / 64.0;
            for value in [
                value,
                value.next_down().max(0.0),
                value.next_up().min(255.0),
            ] {
                assert_eq!(truncated(value), value as u8, "{value}");
            }
        }
    }
}
