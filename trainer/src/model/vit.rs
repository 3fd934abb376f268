//! Vision transformers (Dosovitskiy et al. 2021) with a class token and without classifier; names as in timm.
//!
//! Images may have any size that is a multiple of the patch: the position embedding, made for 224 pixels, is resized as DINO's authors
//! do it. Knows nothing of heads or losses.

use tch::{Kind, Tensor};

use super::init;
use super::layers::{LayerNorm, Linear, drop_path};
use super::parameters::Scope;

/// Side of the images that the position embedding is made for, in pixels.
const EMBEDDED_SIDE: i64 = 224;
/// Hidden values of a block's perceptron per value of a token.
const MLP_RATIO: i64 = 4;

/// What a vision transformer looks like.
#[derive(Debug, Clone, Copy)]
pub struct VitShape {
    /// Values per token.
    pub width: i64,
    /// Number of blocks.
    pub depth: i64,
    /// Attention heads per block.
    pub heads: i64,
    /// Side of a patch, in pixels.
    pub patch: i64,
    /// Probability with which the last block's branches are dropped in training; it rises linearly from 0 at the first block.
    pub drop_path: f64,
}

/// Patches to tokens, blocks, and a last normalisation.
#[derive(Debug)]
pub struct VisionTransformer {
    shape: VitShape,
    cls_token: Tensor,
    pos_embed: Tensor,
    patch_weight: Tensor,
    patch_bias: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

/// Attention, then a perceptron, each behind a normalisation and beside a shortcut.
#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    drop_path: f64,
}

#[derive(Debug)]
struct Attention {
    heads: i64,
    qkv: Linear,
    out: Linear,
}

impl VisionTransformer {
    /// Registers all layers.
    pub fn new(shape: VitShape, scope: &mut Scope) -> VisionTransformer {
        let (width, patch, device) = (shape.width, shape.patch, scope.device());
        let num_patches = (EMBEDDED_SIDE / patch) * (EMBEDDED_SIDE / patch);
        let small = |sizes: &[i64]| init::truncated_normal(sizes, 0.02, device);
        let cls_token = scope.trainable("cls_token", small(&[1, 1, width]));
        let pos_embed = scope.trainable("pos_embed", small(&[1, num_patches + 1, width]));
        let mut projection = scope.child("patch_embed.proj");
        let fan_in = 3 * patch * patch;
        let weight = init::uniform_fan_in(&[width, 3, patch, patch], fan_in, device);
        let patch_weight = projection.trainable("weight", weight);
        let bias = init::uniform_fan_in(&[width], fan_in, device);
        let patch_bias = projection.trainable("bias", bias);
        let mut place = scope.child("blocks");
        let last = (shape.depth - 1).max(1) as f64;
        let blocks = (0..shape.depth).map(|at| {
            let drop_path = shape.drop_path * at as f64 / last;
            Block::new(&shape, drop_path, &mut place.child(at))
        });
        let blocks = blocks.collect();
        VisionTransformer {
            shape,
            cls_token,
            pos_embed,
            patch_weight,
            patch_bias,
            blocks,
            norm: LayerNorm::new(width, &mut scope.child("norm")),
        }
    }

    /// Values per token.
    pub fn width(&self) -> i64 {
        self.shape.width
    }

    /// The normalised class token `[n, width]` of images `[n, 3, h, w]`. Between the blocks tokens are in the precision of the weights.
    pub fn forward(&self, images_nchw: &Tensor, train: bool) -> Tensor {
        let kind = images_nchw.kind();
        let mut tokens_ntd = self.tokens(images_nchw);
        for block in &self.blocks {
            tokens_ntd = block.forward(&tokens_ntd, kind, train);
        }
        self.norm.forward(&tokens_ntd.select(1, 0)).to_kind(kind)
    }

    /// The normalised class tokens `[n, last * width]` after each of the `last` blocks, the last block's at the end; nothing is dropped.
    pub fn class_tokens(&self, images_nchw: &Tensor, last: i64) -> Tensor {
        let first = self.blocks.len().saturating_sub(last as usize);
        let mut tokens_ntd = self.tokens(images_nchw);
        let mut classes = Vec::new();
        for (at, block) in self.blocks.iter().enumerate() {
            tokens_ntd = block.forward(&tokens_ntd, images_nchw.kind(), false);
            if at >= first {
                classes.push(self.norm.forward(&tokens_ntd.select(1, 0)));
            }
        }
        Tensor::cat(&classes, 1)
    }

    /// How much the class token looks at each patch in the last block, in evaluation: `[n, heads, rows, columns]`.
    pub fn class_attention(&self, images_nchw: &Tensor) -> Tensor {
        let kind = images_nchw.kind();
        let mut tokens_ntd = self.tokens(images_nchw);
        let (last, others) = self.blocks.split_last().expect("there are blocks");
        for block in others {
            tokens_ntd = block.forward(&tokens_ntd, kind, false);
        }
        let normed = last.norm1.forward(&tokens_ntd).to_kind(kind);
        let attention = last.attention.of_class(&normed);
        let patches = |side: usize| images_nchw.size()[side] / self.shape.patch;
        let (n, heads) = (attention.size()[0], attention.size()[1]);
        attention.reshape([n, heads, patches(2), patches(3)])
    }

    /// Class token, then patches row by row, with their places added: `[n, 1 + patches, width]`.
    fn tokens(&self, images_nchw: &Tensor) -> Tensor {
        let (stride, kind) = ([self.shape.patch; 2], images_nchw.kind());
        let maps = images_nchw.conv2d(
            &self.patch_weight.to_kind(kind),
            Some(&self.patch_bias.to_kind(kind)),
            stride,
            [0, 0],
            [1, 1],
            1,
        );
        let (n, _, rows, columns) = maps.size4().expect("a convolution gives four dimensions");
        let patches = maps.flatten(2, -1).transpose(1, 2);
        let class = self.cls_token.expand([n, 1, -1], false);
        Tensor::cat(&[class, patches], 1) + self.places(rows, columns)
    }

    /// The position embedding for so many patches: `[1, 1 + rows * columns, width]`.
    ///
    /// Resized by the *scale* `(rows + .1) / 14`, not to a size: the scale decides where samples are taken, and the .1 keeps its
    /// rounding from losing a row. Bicubic without antialiasing.
    fn places(&self, rows: i64, columns: i64) -> Tensor {
        let side = EMBEDDED_SIDE / self.shape.patch;
        if (rows, columns) == (side, side) {
            return self.pos_embed.shallow_clone();
        }
        let class = self.pos_embed.narrow(1, 0, 1);
        let grid = self.pos_embed.narrow(1, 1, side * side);
        let grid = grid.view([1, side, side, -1]).permute([0, 3, 1, 2]);
        let scale = |count: i64| (count as f64 + 0.1) / side as f64;
        let grid = grid.upsample_bicubic2d([rows, columns], false, scale(rows), scale(columns));
        Tensor::cat(&[class, grid.flatten(2, -1).transpose(1, 2)], 1)
    }
}

impl Block {
    fn new(shape: &VitShape, drop_path: f64, scope: &mut Scope) -> Block {
        let width = shape.width;
        let norm1 = LayerNorm::new(width, &mut scope.child("norm1"));
        let attention = Attention {
            heads: shape.heads,
            qkv: Linear::with_truncated_normal(width, 3 * width, &mut scope.child("attn.qkv")),
            out: Linear::with_truncated_normal(width, width, &mut scope.child("attn.proj")),
        };
        let hidden = MLP_RATIO * width;
        Block {
            norm1,
            attention,
            norm2: LayerNorm::new(width, &mut scope.child("norm2")),
            fc1: Linear::with_truncated_normal(width, hidden, &mut scope.child("mlp.fc1")),
            fc2: Linear::with_truncated_normal(hidden, width, &mut scope.child("mlp.fc2")),
            drop_path,
        }
    }

    /// The branches compute in `kind`.
    fn forward(&self, x_ntd: &Tensor, kind: Kind, train: bool) -> Tensor {
        let drop = if train { self.drop_path } else { 0.0 };
        let normed = self.norm1.forward(x_ntd).to_kind(kind);
        let attended = self.attention.forward(&normed);
        let x_ntd = x_ntd + drop_path(attended, drop);
        let normed = self.norm2.forward(&x_ntd).to_kind(kind);
        let hidden = self.fc1.forward(&normed).gelu("none");
        &x_ntd + drop_path(self.fc2.forward(&hidden), drop)
    }
}

impl Attention {
    fn forward(&self, x_ntd: &Tensor) -> Tensor {
        let (n, tokens, width) = x_ntd.size3().expect("tokens have three dimensions");
        let parts = self.parts(x_ntd);
        let attended = Tensor::scaled_dot_product_attention(
            &parts[0],
            &parts[1],
            &parts[2],
            None::<Tensor>,
            0.0,
            false,
            None,
            false,
        );
        let attended = attended.transpose(1, 2).reshape([n, tokens, width]);
        self.out.forward(&attended)
    }

    /// Queries, keys and values, each `[n, heads, tokens, width of a head]`.
    fn parts(&self, x_ntd: &Tensor) -> Vec<Tensor> {
        let (n, tokens, width) = x_ntd.size3().expect("tokens have three dimensions");
        let qkv = self.qkv.forward(x_ntd);
        let qkv = qkv.view([n, tokens, 3, self.heads, width / self.heads]);
        qkv.permute([2, 0, 3, 1, 4]).unbind(0)
    }

    /// Weights `[n, heads, 1, patches]` with which the class token takes the patches.
    fn of_class(&self, x_ntd: &Tensor) -> Tensor {
        let parts = self.parts(x_ntd);
        let (query, keys) = (parts[0].narrow(2, 0, 1), &parts[1]);
        let scale = (keys.size()[3] as f64).sqrt();
        let weights = (query.matmul(&keys.transpose(-2, -1)) / scale).softmax(-1, None::<Kind>);
        weights.narrow(3, 1, weights.size()[3] - 1)
    }
}
