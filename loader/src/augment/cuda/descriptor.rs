//! What a kernel reads of a view: the mirror of `struct View` in `views.cu`, which says what the fields mean.

use crate::augment::extended_box::ExtendedBox;
use crate::augment::params::{JitterOp, ViewParams};

/// Operations of a jitter, and grey.
const MAX_OPS: usize = 5;

/// Kinds of operations, numbered as in `enum OpKind`.
const BLEND_WITH_BLACK: u32 = 0;
const BLEND_WITH_MEAN: u32 = 1;
const SATURATE: u32 = 2;
const SHIFT_HUE: u32 = 3;
const GREY: u32 = 4;

/// A view's descriptor.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct View {
    pub(super) crop: u64,
    pub(super) out: u64,
    pub(super) between: u64,
    pub(super) blurred: u64,
    pub(super) grey_sum: u64,
    pub(super) across: Axis,
    pub(super) down: Axis,
    pub(super) stride: u32,
    pub(super) size: u32,
    pub(super) rows_first: u32,
    pub(super) first_row: u32,
    pub(super) between_width: u32,
    pub(super) between_height: u32,
    pub(super) flip: u32,
    pub(super) num_before: u32,
    pub(super) num_ops: u32,
    pub(super) ops: [Op; MAX_OPS],
    pub(super) blurs: u32,
    pub(super) box_radius: u32,
    pub(super) box_inner: u32,
    pub(super) box_edge: u32,
    pub(super) solarizes: u32,
}

const _: () = assert!(size_of::<View>() == 208, "views.cu has the same");

#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Axis {
    pub(super) taps: u64,
    pub(super) in_size: u32,
    pub(super) out_size: u32,
    pub(super) start: u32,
    pub(super) num: u32,
}

#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Op {
    kind: u32,
    shift: u32,
    factor: f32,
}

impl View {
    /// Takes over all that concerns colour, blur and solarising.
    pub(super) fn set_operations(&mut self, params: &ViewParams) {
        if let Some(jitter) = &params.jitter {
            for op in jitter.order {
                match op {
                    JitterOp::Brightness => self.push(BLEND_WITH_BLACK, 0, jitter.brightness),
                    JitterOp::Contrast => {
                        self.num_before = self.num_ops;
                        self.push(BLEND_WITH_MEAN, 0, jitter.contrast);
                    }
                    JitterOp::Saturation => self.push(SATURATE, 0, jitter.saturation),
                    JitterOp::Hue => {
                        if let Some(shift) = jitter.hue_shift() {
                            self.push(SHIFT_HUE, shift.into(), 0.0);
                        }
                    }
                }
            }
        }
        if params.grey {
            self.push(GREY, 0, 0.0);
        }
        let kernel = params.blur.map(ExtendedBox::of_gaussian);
        if let Some(kernel) = kernel.filter(|kernel| !kernel.is_one_pixel()) {
            self.blurs = 1;
            self.box_radius = kernel.radius as u32;
            (self.box_inner, self.box_edge) = (kernel.inner, kernel.edge);
        }
        self.solarizes = params.solarize.into();
    }

    /// The same view of an image, and in a scratch, that lie further on; it is to be written to `out`.
    pub(super) fn moved(mut self, image: u64, scratch: u64, out: u64) -> View {
        self.crop += image;
        self.out = out;
        let offsets = [
            &mut self.between,
            &mut self.blurred,
            &mut self.grey_sum,
            &mut self.across.taps,
            &mut self.down.taps,
        ];
        for offset in offsets {
            *offset += scratch;
        }
        self
    }

    fn push(&mut self, kind: u32, shift: u32, factor: f32) {
        self.ops[self.num_ops as usize] = Op {
            kind,
            shift,
            factor,
        };
        self.num_ops += 1;
    }

    /// Whether there is a contrast, which needs the mean of all pixels.
    pub(super) fn needs_mean(&self) -> bool {
        self.ops[..self.num_ops as usize]
            .iter()
            .any(|op| op.kind == BLEND_WITH_MEAN)
    }

    /// Whether the kernel `colour` has anything to do.
    pub(super) fn is_coloured(&self) -> bool {
        self.num_ops > 0 || (self.solarizes != 0 && self.blurs == 0)
    }

    pub(super) fn blurs(&self) -> bool {
        self.blurs != 0
    }
}
