//! Charts of lines, drawn to PNG: the one way in which this program draws curves. It knows no run.

use std::error::Error;
use std::ops::Range;
use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

/// What is drawn on.
pub type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
/// How drawing ends.
pub type Drawn = Result<(), Box<dyn Error>>;
/// Places of a curve.
pub type Points = Vec<(f64, f64)>;

/// Colours that the colour-blind can tell apart (Okabe and Ito 2008), without yellow, which is too pale for lines.
pub const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
const GRID: RGBColor = RGBColor(215, 215, 215);
const INK: RGBColor = RGBColor(20, 20, 20);
const FONT: &str = "embedded";
const TITLE_SIZE: f64 = 20.0;
const TEXT_SIZE: f64 = 15.0;
const MARGIN: i32 = 12;

/// Points of a smooth curve at most.
const MOST_POINTS: usize = 1000;

/// One line of a chart.
#[derive(Debug, Clone)]
pub struct Curve {
    /// As the legend calls it.
    pub name: String,
    /// Its colour.
    pub color: RGBColor,
    /// Its width in pixels, before the scale.
    pub width: u32,
    /// Its places, from left to right.
    pub points: Points,
}

/// What stands around the curves.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Above everything.
    pub title: &'a str,
    /// Below the horizontal axis.
    pub x_label: &'a str,
    /// Beside the vertical axis: the unit.
    pub y_label: &'a str,
    /// Pixels per pixel of a plain screen.
    pub scale: f64,
}

impl Frame<'_> {
    fn px(&self, pixels: i32) -> i32 {
        (f64::from(pixels) * self.scale) as i32
    }

    fn font(&self, size: f64) -> TextStyle<'static> {
        text_style(size * self.scale)
    }
}

/// Dark text of the embedded font.
pub fn text_style(size: f64) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

/// A PNG of so many pixels.
///
/// # Errors
/// When the font cannot be read or something cannot be drawn.
pub fn paint(
    size: (u32, u32),
    draw: impl FnOnce(&Area) -> Drawn,
) -> Result<Vec<u8>, Box<dyn Error>> {
    load_font()?;
    let mut pixels = vec![255; (size.0 * size.1 * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.0, size.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// The font travels inside the binary: a machine without any must draw the same picture.
fn load_font() -> Result<(), String> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    let load = || {
        let bytes = epaint_default_fonts::UBUNTU_LIGHT;
        register_font(FONT, FontStyle::Normal, bytes).is_ok()
    };
    if *LOADED.get_or_init(load) {
        Ok(())
    } else {
        Err("the embedded font is not readable".to_owned())
    }
}

/// Draws title, legend (of more than one curve) and curves, the first curve on top.
///
/// # Errors
/// When something cannot be drawn.
pub fn draw(area: &Area, frame: &Frame, curves: &[Curve]) -> Drawn {
    let curves: Vec<&Curve> = curves.iter().filter(|c| !c.points.is_empty()).collect();
    let top = frame.px(MARGIN);
    let style = frame.font(TITLE_SIZE);
    area.draw_text(frame.title, &style, (top, top))?;
    let mut used = top + frame.px(28);
    if curves.len() > 1 {
        used = legend(area, frame, &curves, used)?;
    }
    let (_, below) = area.split_vertically(used);
    plot(&below, frame, &curves)
}

/// Names behind a piece of their line, in as many rows as they need; returns where the rows end.
fn legend(area: &Area, frame: &Frame, curves: &[&Curve], top: i32) -> Result<i32, Box<dyn Error>> {
    let style = frame.font(TEXT_SIZE);
    let (dash, gap, row) = (frame.px(22), frame.px(6), frame.px(20));
    let (mut left, mut top) = (frame.px(MARGIN), top);
    let right = area.dim_in_pixel().0 as i32;
    for curve in curves {
        let (width, _) = area.estimate_text_size(&curve.name, &style)?;
        let taken = dash + gap + width as i32 + 3 * gap;
        if left + taken > right && left > frame.px(MARGIN) {
            (left, top) = (frame.px(MARGIN), top + row);
        }
        let middle = top + row / 2;
        let line = [(left, middle), (left + dash, middle)];
        let stroke = curve.color.stroke_width(frame.px(3) as u32);
        area.draw(&PathElement::new(line, stroke))?;
        area.draw_text(&curve.name, &style, (left + dash + gap, top))?;
        left += taken;
    }
    Ok(top + row)
}

fn plot(area: &Area, frame: &Frame, curves: &[&Curve]) -> Drawn {
    let all = || curves.iter().flat_map(|curve| curve.points.iter());
    let (xs, ys) = (
        span(all().map(|point| point.0)),
        span(all().map(|point| point.1)),
    );
    let mut chart = ChartBuilder::on(area)
        .margin(frame.px(MARGIN))
        .x_label_area_size(frame.px(42))
        .y_label_area_size(frame.px(64))
        .build_cartesian_2d(xs, ys)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(frame.px(1) as u32))
        .axis_style(INK.stroke_width(frame.px(1) as u32))
        .label_style(frame.font(TEXT_SIZE))
        .axis_desc_style(frame.font(TEXT_SIZE))
        .x_desc(frame.x_label)
        .y_desc(frame.y_label)
        .x_labels(7)
        .y_labels(7)
        .x_label_formatter(&|value| tick(*value))
        .y_label_formatter(&|value| tick(*value))
        .draw()?;
    for curve in curves.iter().rev() {
        let stroke = curve
            .color
            .stroke_width((f64::from(curve.width) * frame.scale) as u32);
        if let [only] = curve.points[..] {
            let dot = Circle::new(only, frame.px(4), curve.color.filled());
            chart.draw_series([dot])?;
        }
        let points = curve.points.iter().copied();
        chart.draw_series(LineSeries::new(points, stroke))?;
    }
    Ok(())
}

/// A number as short as it can be told from its neighbours.
fn tick(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if size < 1e-12 => return "0".to_owned(),
        _ if size >= 1e6 => return format!("{}M", trimmed(format!("{:.2}", value / 1e6))),
        _ if size >= 1e4 => return format!("{}k", trimmed(format!("{:.1}", value / 1e3))),
        _ if size < 1e-3 => return format!("{value:.1e}"),
        _ if size >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    };
    trimmed(text)
}

fn trimmed(text: String) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The running mean over so many points, thinned to what a picture can show.
pub fn smooth(points: &[(f64, f64)], window: usize) -> Points {
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    let mut sums = vec![0.0];
    for (_, value) in points {
        sums.push(sums[sums.len() - 1] + value);
    }
    let mean_to = |end: usize| {
        let start = (end + 1).saturating_sub(window);
        (
            points[end].0,
            (sums[end + 1] - sums[start]) / (end + 1 - start) as f64,
        )
    };
    (0..points.len()).step_by(stride).map(mean_to).collect()
}

/// The values' range with a margin; something drawable also for one value or none.
fn span(values: impl Iterator<Item = f64>) -> Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return 0.0..1.0;
    }
    let margin = match high > low {
        true => (high - low) * 0.05,
        false if low == 0.0 => 0.5,
        false => low.abs() * 0.1,
    };
    low - margin..high + margin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_drawn_with_the_embedded_font() {
        let frame = Frame {
            title: "loss",
            x_label: "step",
            y_label: "nats",
            scale: 1.0,
        };
        let bytes = paint((400, 300), |area| draw(area, &frame, &[])).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let title = &pixels[..400 * 30 * 3];
        let dark = title.iter().filter(|value| **value < 100).count();
        assert!(dark > 50, "{dark} dark values where the title is");
    }

    #[test]
    fn ticks_are_short() {
        let found = [0.0, 0.5, 3.0, 620.0, 250_000.0, 0.000_05, -2.25].map(tick);
        assert_eq!(found, ["0", "0.5", "3", "620", "250k", "5.0e-5", "-2.25"]);
    }

    #[test]
    fn smoothing_averages_the_window_and_thins_what_is_long() {
        let points: Points = (0..4).map(|at| (f64::from(at), f64::from(at))).collect();
        let means: Vec<f64> = smooth(&points, 2).iter().map(|point| point.1).collect();
        assert_eq!(means, [0.0, 0.5, 1.5, 2.5]);
        let long: Points = (0..5000).map(|at| (f64::from(at), 1.0)).collect();
        assert_eq!(smooth(&long, 25).len(), 1000);
    }
}
