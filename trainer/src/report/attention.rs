//! Where a transformer's class token looks.

use std::error::Error;

use tch::{Kind, Tensor, no_grad};

use super::gallery::Gallery;
use super::picture::{self, Cell};
use crate::model::backbone::Backbone;

/// Heads that are shown beside their mean.
const MOST_HEADS: i64 = 6;
/// Images that are shown.
const NUM_IMAGES: usize = 4;
/// Colours of no, some and most attention: they differ in lightness, so they can be told apart without seeing colours.
const HEAT: [[f64; 3]; 4] = [
    [20.0, 11.0, 52.0],
    [132.0, 32.0, 107.0],
    [229.0, 92.0, 48.0],
    [246.0, 215.0, 70.0],
];
/// Share of the heat over the image.
const OPACITY: f64 = 0.7;

/// A row for each image: the image, the mean over heads, then the heads of the last block. `None` where the backbone has no attention.
///
/// # Errors
/// When it cannot be drawn.
pub fn draw(gallery: &Gallery, backbone: &Backbone) -> Option<Result<Vec<u8>, Box<dyn Error>>> {
    let mut rows = Vec::new();
    for at in gallery.queries().into_iter().take(NUM_IMAGES) {
        let view = gallery.views_nchw.get(at as i64).unsqueeze(0);
        let attention = no_grad(|| backbone.class_attention(&view))?;
        let heads = attention.squeeze_dim(0);
        rows.push(row(&gallery.image(at), &gallery.class(at), &heads));
    }
    Some(picture::grid(&rows))
}

/// `heads` is `[heads, rows, columns]`.
fn row(image: &Tensor, class: &str, heads: &Tensor) -> Vec<Cell> {
    let cell = |image: &Tensor, caption: String| Cell {
        pixels: picture::pixels(image),
        caption,
        frame: None,
    };
    let mean = heads.mean_dim([0].as_slice(), false, None::<Kind>);
    let mut cells = vec![
        cell(image, class.to_owned()),
        cell(&heated(image, &mean), "mean".to_owned()),
    ];
    let shown = heads.size()[0].min(MOST_HEADS);
    cells.extend((0..shown).map(|head| {
        let heat = heated(image, &heads.get(head));
        cell(&heat, format!("head {}", head + 1))
    }));
    cells
}

/// The grey image under the heat of a map `[rows, columns]`, whose largest value is the hottest.
fn heated(image: &Tensor, map: &Tensor) -> Tensor {
    let side = image.size()[1];
    let map = (map / map.max()).to_kind(Kind::Double);
    let map = map.unsqueeze(0).unsqueeze(0);
    let map = map.upsample_nearest2d([side, side], None, None);
    let place = map.squeeze() * (HEAT.len() - 1) as f64;
    let channel = |channel: usize| {
        let mut value = Tensor::full(
            [side, side],
            HEAT[0][channel],
            (Kind::Double, image.device()),
        );
        for (at, pair) in HEAT.windows(2).enumerate() {
            let share = (&place - at as f64).clamp(0.0, 1.0);
            value += share * (pair[1][channel] - pair[0][channel]);
        }
        value
    };
    let heat = Tensor::stack(&[channel(0), channel(1), channel(2)], 0);
    let grey = image.mean_dim([0].as_slice(), true, None::<Kind>);
    heat * OPACITY + grey * (1.0 - OPACITY)
}
