//! Images of the validation split, each with those whose features are most alike.

use std::error::Error;

use tch::Tensor;

use super::gallery::Gallery;
use super::picture::{self, Cell};
use crate::chart::COLORS;

const NUM_NEIGHBOURS: i64 = 5;

/// A row for each query: the image, then its nearest others with their cosine similarity. The frame tells whether the class is the query's.
///
/// # Errors
/// When it cannot be drawn.
pub fn draw(gallery: &Gallery) -> Result<Vec<u8>, Box<dyn Error>> {
    let rows: Vec<_> = gallery
        .queries()
        .into_iter()
        .map(|query| row(gallery, query))
        .collect();
    picture::grid(&rows)
}

fn row(gallery: &Gallery, query: usize) -> Vec<Cell> {
    let mut cells = vec![Cell {
        pixels: picture::pixels(&gallery.image(query)),
        caption: gallery.class(query),
        frame: None,
    }];
    for (at, similarity) in nearest(&gallery.features_nd, query) {
        let is_same = gallery.labels[at] == gallery.labels[query];
        let is_known = gallery.labels[at] >= 0 && gallery.labels[query] >= 0;
        cells.push(Cell {
            pixels: picture::pixels(&gallery.image(at)),
            caption: format!("{similarity:.2} {}", gallery.class(at)),
            frame: is_known.then_some(COLORS[usize::from(!is_same)]),
        });
    }
    cells
}

/// The nearest others and their similarity, nearest first.
fn nearest(features_nd: &Tensor, query: usize) -> Vec<(usize, f64)> {
    let similarity_n = features_nd.mv(&features_nd.get(query as i64));
    let _ = similarity_n.get(query as i64).fill_(-2.0);
    let k = NUM_NEIGHBOURS.min(similarity_n.size()[0] - 1);
    let (similarity, places) = similarity_n.topk(k, 0, true, true);
    let found = (0..k).map(|at| {
        (
            places.int64_value(&[at]) as usize,
            similarity.double_value(&[at]),
        )
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first_and_never_the_query_itself() {
        let features = Tensor::from_slice(&[1.0f32, 0.0, 0.6, 0.8, 0.8, 0.6, -1.0, 0.0]);
        let found = nearest(&features.view([4, 2]), 0);
        let places: Vec<usize> = found.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [2, 1, 3]);
        assert!((found[0].1 - 0.8).abs() < 1e-6);
    }
}
