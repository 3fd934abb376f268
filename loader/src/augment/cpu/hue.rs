//! The hue shift of torchvision's `adjust_hue` on Pillow images: to 8-bit HSV, the hue moved on, and back.
//!
//! Source: `rgb2hsv_row` and `hsv2rgb` in Pillow's `Convert.c`, whose mixture of single and double precision decides the last digit. The forms
//! here have no branch and no double and still round alike: the tests hold them against the original ones for every colour there is.

use super::pixels::{LANES, Pixels, truncated};

/// Shifts the hue of every pixel.
#[inline(always)]
pub(super) fn rotate(pixels: &mut Pixels, by: u8) {
    for lane in 0..LANES {
        let rgb = [pixels.red[lane], pixels.green[lane], pixels.blue[lane]];
        let [hue, saturation, value] = hsv_of_rgb(rgb);
        let [red, green, blue] = rgb_of_hsv([hue.wrapping_add(by), saturation, value]);
        pixels.red[lane] = red;
        pixels.green[lane] = green;
        pixels.blue[lane] = blue;
    }
}

/// Hue, saturation, value. Grey pixels get saturation 0 and some hue (Pillow: 0).
#[inline(always)]
fn hsv_of_rgb(rgb: [u8; 3]) -> [u8; 3] {
    let [red, green, blue] = rgb.map(i32::from);
    let value = red.max(green).max(blue);
    let low = red.min(green).min(blue);
    let middle = red
        .wrapping_add(green)
        .wrapping_add(blue)
        .wrapping_sub(value)
        .wrapping_sub(low);
    let chroma = value.wrapping_sub(low);
    let fall = value.wrapping_sub(middle) as f32 / chroma.max(1) as f32;
    // Which channel is highest and which lowest tells the sextant: the hue is its start plus, or its end less, `fall`.
    let (red_is_high, green_is_high) = (red == value, green == value);
    let (blue_is_low, red_is_low) = (blue == low, red == low);
    let of_blue = if red_is_low { 3.0 } else { 5.0 };
    let of_green = if blue_is_low { 1.0 } else { 3.0 };
    let of_red = if blue_is_low { 1.0 } else { -1.0 };
    let corner = if green_is_high { of_green } else { of_blue };
    let corner = if red_is_high { of_red } else { corner };
    let ascends = if green_is_high {
        blue_is_low
    } else {
        red_is_low
    };
    let ascends = if red_is_high { !blue_is_low } else { ascends };
    let sixths: f32 = corner + if ascends { fall } else { -fall };
    let turns = sixths / 6.0 + if sixths < 0.0 { 1.0 } else { 0.0 };
    let saturation = chroma as f32 / value.max(1) as f32;
    [
        whole_of_255(turns),
        truncated(saturation * 255.0),
        value as u8,
    ]
}

/// Red, green and blue.
#[inline(always)]
fn rgb_of_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let [saturation, value] = [saturation, value].map(u32::from);
    let scaled = u32::from(hue).wrapping_mul(6);
    // scaled / 255, exact for 8 bits.
    let sextant = scaled.wrapping_mul(257).wrapping_add(257) >> 16;
    let part = scaled.wrapping_sub(sextant.wrapping_mul(255));
    // value * (1 - saturation * weight), rounded; ties cannot occur.
    let level = |weight: u32| {
        let rest = ONE.wrapping_sub(saturation.wrapping_mul(weight));
        (value.wrapping_mul(rest).wrapping_add(ONE / 2) / ONE) as u8
    };
    let (falling, rising) = (level(part), level(255u32.wrapping_sub(part)));
    let (value, low) = (value as u8, level(255));
    let red = match sextant {
        1 => falling,
        2 | 3 => low,
        4 => rising,
        _ => value,
    };
    let green = match sextant {
        1 | 2 => value,
        3 => falling,
        4 | 5 => low,
        _ => rising,
    };
    let blue = match sextant {
        2 => rising,
        3 | 4 => value,
        5 => falling,
        _ => low,
    };
    [red, green, blue]
}

/// One, for a product of two values of 255.
const ONE: u32 = 255 * 255;

/// The whole part of `turns * 255` without the product being rounded; `turns` is in `0.0..=1.0`.
#[inline(always)]
fn whole_of_255(turns: f32) -> u8 {
    const ULP_IS_ONE: f32 = (1 << 23) as f32;
    let shifted = turns * 255.0 + ULP_IS_ONE;
    let nearest = shifted - ULP_IS_ONE;
    // Exactly whether 255 * turns < nearest: both sides are free of rounding.
    let rounded_up = u32::from(256.0 * turns - nearest < turns);
    shifted.to_bits().wrapping_sub(rounded_up) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pillow's `rgb2hsv_row`, precision by precision.
    fn hsv_by_pillow([red, green, blue]: [u8; 3]) -> [u8; 3] {
        let value = red.max(green).max(blue);
        let chroma = f32::from(value - red.min(green).min(blue));
        if chroma == 0.0 {
            return [0, 0, value];
        }
        let below = |channel: u8| f32::from(value - channel) / chroma;
        let sixths = if red == value {
            below(blue) - below(green)
        } else if green == value {
            (2.0 + f64::from(below(red)) - f64::from(below(blue))) as f32
        } else {
            (4.0 + f64::from(below(green)) - f64::from(below(red))) as f32
        };
        let turns = ((f64::from(sixths) / 6.0 + 1.0) % 1.0) as f32;
        let saturation = chroma / f32::from(value);
        let byte = |part: f32| (f64::from(part) * 255.0) as u8;
        [byte(turns), byte(saturation), value]
    }

    /// Pillow's `hsv2rgb`, precision by precision.
    fn rgb_by_pillow([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
        let scaled = f64::from(hue) * 6.0 / 255.0;
        let part = (scaled - scaled.floor()) as f32;
        let pure = (f64::from(saturation) / 255.0) as f32;
        let level = |weight: f64| (f64::from(value) * (1.0 - weight)).round() as u8;
        let low = level(f64::from(pure));
        let falling = level(f64::from(pure * part));
        let rising = level(f64::from(pure) * (1.0 - f64::from(part)));
        match scaled as u32 % 6 {
            0 => [value, rising, low],
            1 => [falling, value, low],
            2 => [low, value, rising],
            3 => [low, falling, value],
            4 => [rising, low, value],
            _ => [value, low, falling],
        }
    }

    fn every_triple() -> impl Iterator<Item = [u8; 3]> {
        (0..1u32 << 24).map(|bits| [bits as u8, (bits >> 8) as u8, (bits >> 16) as u8])
    }

    #[test]
    fn every_colour_turns_into_the_hsv_that_pillow_gives() {
        for rgb in every_triple() {
            let [hue, saturation, value] = hsv_of_rgb(rgb);
            let expected = hsv_by_pillow(rgb);
            let hue = if saturation == 0 { expected[0] } else { hue };
            assert_eq!([hue, saturation, value], expected, "{rgb:?}");
        }
    }

    #[test]
    fn every_hsv_turns_into_the_colour_that_pillow_gives() {
        for hsv in every_triple() {
            assert_eq!(rgb_of_hsv(hsv), rgb_by_pillow(hsv), "{hsv:?}");
        }
    }
}
