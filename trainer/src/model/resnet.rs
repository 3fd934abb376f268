//! ResNet 18, 34 and 50 (He et al. 2016; version 1.5: stride in the 3x3) without classifier; names as in torchvision.

use tch::Tensor;

use super::layers::{BatchNorm, Conv2d, ConvShape};
use super::parameters::Scope;

/// Which residual block a network is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, 1x1 with four times the channels out.
    Bottleneck,
}

/// The convolutional part; output stride 32.
#[derive(Debug)]
pub struct ResNet {
    stem: ConvNorm,
    blocks: Vec<Block>,
    width: i64,
}

#[derive(Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

/// The convolutions of one residual block in order, and the projection of its input where shapes differ.
#[derive(Debug)]
struct Block {
    branch: Vec<ConvNorm>,
    downsample: Option<ConvNorm>,
}

impl BlockKind {
    fn expansion(self) -> i64 {
        match self {
            BlockKind::Basic => 1,
            BlockKind::Bottleneck => 4,
        }
    }

    /// Shapes of the branch's convolutions.
    fn branch(self, inputs: i64, planes: i64, stride: i64) -> Vec<ConvShape> {
        match self {
            BlockKind::Basic => vec![
                ConvShape::dense(inputs, planes, 3, stride),
                ConvShape::dense(planes, planes, 3, 1),
            ],
            BlockKind::Bottleneck => vec![
                ConvShape::dense(inputs, planes, 1, 1),
                ConvShape::dense(planes, planes, 3, stride),
                ConvShape::dense(planes, 4 * planes, 1, 1),
            ],
        }
    }
}

impl ResNet {
    /// Registers all layers; `depths` counts the blocks of the four stages.
    pub fn new(kind: BlockKind, depths: [i64; 4], scope: &mut Scope) -> ResNet {
        let stem = ConvNorm {
            conv: Conv2d::new(ConvShape::dense(3, 64, 7, 2), &mut scope.child("conv1")),
            norm: BatchNorm::new(64, &mut scope.child("bn1")),
        };
        let mut blocks = Vec::new();
        let mut inputs = 64;
        for (stage, depth) in depths.into_iter().enumerate() {
            let planes = 64 << stage;
            let mut layer = scope.child(format!("layer{}", stage + 1));
            for index in 0..depth {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                blocks.push(Block::new(
                    kind,
                    inputs,
                    planes,
                    stride,
                    &mut layer.child(index),
                ));
                inputs = planes * kind.expansion();
            }
        }
        ResNet {
            stem,
            blocks,
            width: inputs,
        }
    }

    /// Channels of the last layer: 512 or 2048.
    pub fn width(&self) -> i64 {
        self.width
    }

    /// `[n, 3, h, w]` to `[n, width, h / 32, w / 32]`.
    pub fn forward(&self, images_nchw: &Tensor, train: bool) -> Tensor {
        let mut x = self.stem.forward(images_nchw, train).relu_();
        x = x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        for block in &self.blocks {
            x = block.forward(&x, train);
        }
        x
    }
}

impl ConvNorm {
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        self.norm.forward(&self.conv.forward(x), train)
    }
}

impl Block {
    fn new(kind: BlockKind, inputs: i64, planes: i64, stride: i64, scope: &mut Scope) -> Block {
        let shapes = kind.branch(inputs, planes, stride);
        let mut branch = Vec::new();
        for (index, shape) in shapes.into_iter().enumerate() {
            let place = index + 1;
            branch.push(ConvNorm {
                conv: Conv2d::new(shape, &mut scope.child(format!("conv{place}"))),
                norm: BatchNorm::new(shape.outputs, &mut scope.child(format!("bn{place}"))),
            });
        }
        let outputs = planes * kind.expansion();
        let downsample = (stride != 1 || inputs != outputs).then(|| {
            let mut place = scope.child("downsample");
            ConvNorm {
                conv: Conv2d::new(
                    ConvShape::dense(inputs, outputs, 1, stride),
                    &mut place.child(0),
                ),
                norm: BatchNorm::new(outputs, &mut place.child(1)),
            }
        });
        Block { branch, downsample }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let identity = self
            .downsample
            .as_ref()
            .map(|layer| layer.forward(x, train));
        let (last, first) = self.branch.split_last().expect("a block has convolutions");
        let mut out = x.shallow_clone();
        for layer in first {
            out = layer.forward(&out, train).relu_();
        }
        let out = last.forward(&out, train);
        (out + identity.as_ref().unwrap_or(x)).relu_()
    }
}
