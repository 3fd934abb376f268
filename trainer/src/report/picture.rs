//! Pictures of a report: PNGs with words, and images in rows with a caption below each.

use std::error::Error;

use plotters::element::BitMapElement;
use plotters::prelude::*;
use plotters::style::RGBColor;
use tch::{Kind, Tensor};

use crate::chart;

/// Side of an image in a row, in pixels.
pub const CELL: i64 = 176;
const GAP: i32 = 10;
const CAPTION: i32 = 26;
const CAPTION_SIZE: f64 = 17.0;
/// Letters of a caption that fit below an image.
const MOST_LETTERS: usize = 21;
const FRAME: u32 = 5;

/// A PNG and what is said of it.
#[derive(Debug)]
pub struct Picture {
    /// The file's name, without folder.
    pub file: String,
    /// What it shows, for who cannot see it.
    pub alt: String,
    /// The PNG.
    pub png: Vec<u8>,
}

/// One image of a row.
#[derive(Debug)]
pub struct Cell {
    /// `u8 [CELL, CELL, 3]`.
    pub pixels: Vec<u8>,
    /// Below it.
    pub caption: String,
    /// Around it.
    pub frame: Option<RGBColor>,
}

/// Images in rows, the first column set apart.
///
/// # Errors
/// When it cannot be drawn.
pub fn grid(rows: &[Vec<Cell>]) -> Result<Vec<u8>, Box<dyn Error>> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as i32;
    let side = CELL as i32;
    let size = (
        (columns * (side + GAP) + 4 * GAP) as u32,
        (rows.len() as i32 * (side + CAPTION + GAP) + GAP) as u32,
    );
    chart::paint(size, |area| {
        let style = chart::text_style(CAPTION_SIZE);
        for (row, cells) in rows.iter().enumerate() {
            let top = GAP + row as i32 * (side + CAPTION + GAP);
            for (column, cell) in cells.iter().enumerate() {
                let apart = if column > 0 { 2 * GAP } else { 0 };
                let left = GAP + column as i32 * (side + GAP) + apart;
                draw_cell(area, cell, (left, top))?;
                let caption = shortened(&cell.caption);
                area.draw_text(&caption, &style, (left, top + side + 4))?;
            }
        }
        Ok(())
    })
}

fn draw_cell(area: &chart::Area, cell: &Cell, (left, top): (i32, i32)) -> chart::Drawn {
    let side = CELL as i32;
    let size = (CELL as u32, CELL as u32);
    let image = BitMapElement::with_ref((left, top), size, &cell.pixels);
    area.draw(&image.ok_or("an image of another size")?)?;
    if let Some(color) = cell.frame {
        let corners = [(left + 2, top + 2), (left + side - 3, top + side - 3)];
        area.draw(&Rectangle::new(corners, color.stroke_width(FRAME)))?;
    }
    Ok(())
}

fn shortened(caption: &str) -> String {
    if caption.chars().count() <= MOST_LETTERS {
        return caption.to_owned();
    }
    let kept: String = caption.chars().take(MOST_LETTERS - 1).collect();
    kept + "…"
}

/// Values `[3, s, s]` from 0 to 255 as pixels of a cell. Small images keep their pixels' edges.
pub fn pixels(values_chw: &Tensor) -> Vec<u8> {
    let image = values_chw.unsqueeze(0);
    let size = [CELL, CELL];
    let resized = match image.size()[2] * 2 < CELL {
        true => image.upsample_nearest2d(size, None, None),
        false => image.upsample_bilinear2d(size, false, None, None),
    };
    let bytes = resized.squeeze_dim(0).permute([1, 2, 0]).clamp(0.0, 255.0);
    let bytes = bytes.round().to_kind(Kind::Uint8).contiguous();
    Vec::try_from(bytes.flatten(0, -1)).expect("bytes")
}
