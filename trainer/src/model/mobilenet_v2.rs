//! MobileNetV2 1.0 (Sandler et al. 2018) without classifier; names as in torchvision (`features.0.0.weight`).

use tch::Tensor;

use super::layers::{BatchNorm, Conv2d, ConvShape};
use super::parameters::Scope;

/// Channels of the last layer.
pub const WIDTH: i64 = 1280;

/// Expansion, output channels, repeats, stride of the first repeat.
const STAGES: [(i64, i64, i64, i64); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

/// The convolutional part; output stride 32.
#[derive(Debug)]
pub struct MobileNetV2 {
    stem: ConvNorm,
    blocks: Vec<InvertedResidual>,
    last: ConvNorm,
}

/// Convolution and normalisation; ReLU6 is applied by the caller's choice of method.
#[derive(Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

#[derive(Debug)]
struct InvertedResidual {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    project: ConvNorm,
    is_residual: bool,
}

impl MobileNetV2 {
    /// Registers all layers below `features`.
    pub fn new(scope: &mut Scope) -> MobileNetV2 {
        let mut features = scope.child("features");
        let stem = ConvNorm::new(ConvShape::dense(3, 32, 3, 2), &mut features.child(0));
        let mut blocks = Vec::new();
        let mut inputs = 32;
        for (expansion, outputs, repeats, first_stride) in STAGES {
            for repeat in 0..repeats {
                let stride = if repeat == 0 { first_stride } else { 1 };
                let mut place = features.child(blocks.len() + 1);
                let block = InvertedResidual::new(
                    inputs,
                    outputs,
                    stride,
                    expansion,
                    &mut place.child("conv"),
                );
                blocks.push(block);
                inputs = outputs;
            }
        }
        let place = blocks.len() + 1;
        let last = ConvNorm::new(
            ConvShape::dense(inputs, WIDTH, 1, 1),
            &mut features.child(place),
        );
        MobileNetV2 { stem, blocks, last }
    }

    /// `[n, 3, h, w]` to `[n, 1280, h / 32, w / 32]`.
    pub fn forward(&self, images_nchw: &Tensor, train: bool) -> Tensor {
        let mut x = self.stem.forward_relu6(images_nchw, train);
        for block in &self.blocks {
            x = block.forward(&x, train);
        }
        self.last.forward_relu6(&x, train)
    }
}

impl ConvNorm {
    /// Registers the convolution as `0` and the normalisation as `1` below `scope`.
    fn new(shape: ConvShape, scope: &mut Scope) -> ConvNorm {
        ConvNorm {
            conv: Conv2d::new(shape, &mut scope.child(0)),
            norm: BatchNorm::new(shape.outputs, &mut scope.child(1)),
        }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        self.norm.forward(&self.conv.forward(x), train)
    }

    fn forward_relu6(&self, x: &Tensor, train: bool) -> Tensor {
        self.forward(x, train).relu6_()
    }
}

impl InvertedResidual {
    fn new(
        inputs: i64,
        outputs: i64,
        stride: i64,
        expansion: i64,
        scope: &mut Scope,
    ) -> InvertedResidual {
        let hidden = inputs * expansion;
        let expand = (expansion != 1)
            .then(|| ConvNorm::new(ConvShape::dense(inputs, hidden, 1, 1), &mut scope.child(0)));
        let next = usize::from(expand.is_some());
        let depthwise = ConvNorm::new(ConvShape::depthwise(hidden, stride), &mut scope.child(next));
        // torchvision lists the projection's convolution and normalisation beside the blocks, not in one of their own.
        let project = ConvNorm {
            conv: Conv2d::new(
                ConvShape::dense(hidden, outputs, 1, 1),
                &mut scope.child(next + 1),
            ),
            norm: BatchNorm::new(outputs, &mut scope.child(next + 2)),
        };
        InvertedResidual {
            expand,
            depthwise,
            project,
            is_residual: stride == 1 && inputs == outputs,
        }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let expanded = self
            .expand
            .as_ref()
            .map(|layer| layer.forward_relu6(x, train));
        let hidden = self
            .depthwise
            .forward_relu6(expanded.as_ref().unwrap_or(x), train);
        let out = self.project.forward(&hidden, train);
        if self.is_residual { x + out } else { out }
    }
}
