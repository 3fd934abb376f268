//! Outlines, as signed distances: negative inside, about 1 from the centre to the farthest point.

/// The outline of an object. `y` grows downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Disc,
    Triangle,
    Square,
    Star,
    Cross,
    Ring,
    Crescent,
    Bar,
    Heart,
    Hourglass,
}

impl Shape {
    pub(super) const ALL: [Self; 10] = [
        Self::Disc,
        Self::Triangle,
        Self::Square,
        Self::Star,
        Self::Cross,
        Self::Ring,
        Self::Crescent,
        Self::Bar,
        Self::Heart,
        Self::Hourglass,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Disc => "disc",
            Self::Triangle => "triangle",
            Self::Square => "square",
            Self::Star => "star",
            Self::Cross => "cross",
            Self::Ring => "ring",
            Self::Crescent => "crescent",
            Self::Bar => "bar",
            Self::Heart => "heart",
            Self::Hourglass => "hourglass",
        }
    }

    /// Signed distance of `(x, y)` from the outline; near the outline it is in units of the
    /// object's radius.
    pub(super) fn distance(self, x: f32, y: f32) -> f32 {
        let radius = x.hypot(y);
        match self {
            Self::Disc => radius - 0.85,
            Self::Triangle => polygon_side(x, y, 3) - 0.52,
            Self::Square => rectangle(x, y, 0.74, 0.74),
            Self::Star => star(x, y),
            Self::Cross => rectangle(x, y, 0.92, 0.3).min(rectangle(x, y, 0.3, 0.92)),
            Self::Ring => (radius - 0.66).abs() - 0.26,
            Self::Crescent => (radius - 0.9).max(0.74 - (x - 0.48).hypot(y)),
            Self::Bar => rectangle(x, y, 1.0, 0.34),
            Self::Heart => heart(x, y),
            Self::Hourglass => (y.abs() - 0.85).max(0.8 * (x.abs() - 0.1 - 0.78 * y.abs())),
        }
    }
}

fn rectangle(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    (x.abs() - half_width).max(y.abs() - half_height)
}

/// Distance of the centre from the side that faces `(x, y)`, for a polygon with one corner up.
fn polygon_side(x: f32, y: f32, num_sides: u32) -> f32 {
    let step = std::f32::consts::TAU / num_sides as f32;
    let side = |number: u32| {
        let angle = std::f32::consts::FRAC_PI_2 + step * number as f32;
        x * angle.cos() + y * angle.sin()
    };
    (0..num_sides).map(side).fold(f32::MIN, f32::max)
}

/// Five points at radius 1, the corners between them at 0.45.
fn star(x: f32, y: f32) -> f32 {
    const TENTH: f32 = std::f32::consts::TAU / 10.0;
    let angle = x.atan2(-y).rem_euclid(2.0 * TENTH);
    let folded = angle.min(2.0 * TENTH - angle);
    let radius = x.hypot(y);
    let (px, py) = (radius * folded.cos(), radius * folded.sin());
    let (ix, iy) = (0.45 * TENTH.cos(), 0.45 * TENTH.sin());
    // Distance from the line through the point (1, 0) and the inner corner.
    let (dx, dy) = (ix - 1.0, iy);
    ((px - 1.0) * dy - py * dx) / dx.hypot(dy)
}

/// A square on its corner with a disc on each of its upper sides.
fn heart(x: f32, y: f32) -> f32 {
    const HALF: f32 = 0.52;
    const SIDE: f32 = HALF * std::f32::consts::FRAC_1_SQRT_2;
    let (u, v) = (
        (x + y) * std::f32::consts::FRAC_1_SQRT_2,
        (y - x) * std::f32::consts::FRAC_1_SQRT_2,
    );
    let discs = (x.abs() - SIDE).hypot(y + SIDE) - HALF;
    rectangle(u, v, HALF, HALF).min(discs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(shape: Shape) -> f32 {
        let inside = |cell: &i32| {
            let (x, y) = (
                (cell % 100) as f32 / 40.0 - 1.25,
                (cell / 100) as f32 / 40.0 - 1.25,
            );
            shape.distance(x, y) < 0.0
        };
        (0..10_000).filter(inside).count() as f32 / 1_600.0
    }

    #[test]
    fn every_shape_has_a_fair_size_and_ends_within_the_radius() {
        for shape in Shape::ALL {
            let area = area(shape);
            assert!(
                (0.9..2.5).contains(&area),
                "{} has area {area}",
                shape.name()
            );
            for degrees in 0..360 {
                let (y, x) = (degrees as f32).to_radians().sin_cos();
                assert!(
                    shape.distance(1.2 * x, 1.2 * y) > 0.0,
                    "{} at {degrees}",
                    shape.name()
                );
            }
        }
    }

    #[test]
    fn the_star_has_five_points() {
        let inside: Vec<bool> = (0..360)
            .map(|degrees| {
                let (y, x) = (degrees as f32).to_radians().sin_cos();
                Shape::Star.distance(0.8 * x, 0.8 * y) < 0.0
            })
            .collect();
        let num_entries = (0..360)
            .filter(|at| inside[*at] && !inside[(at + 359) % 360])
            .count();
        assert_eq!(num_entries, 5);
    }
}
