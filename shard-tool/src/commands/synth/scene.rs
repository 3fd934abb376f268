//! One image: many objects of its class, each in colours and a pose of its own, among clutter, in light and noise.
//!
//! What any two parts of an image have in common is its class; whatever else there is differs within the image
//! as much as between images. That is what a method that compares views of an image can learn from.
//!
//! Coordinates run from -1 to 1 over the image, `y` downwards. Colours are linear in `[0, 1]`.

use super::class::Class;
use super::random::{Random, smooth_noise};
use super::shape::Shape;
use super::texture::Texture;

type Colour = [f32; 3];

/// Sample points per pixel and axis.
const SUPERSAMPLING: u32 = 2;

/// Draws an image of the class: `px * px` RGB pixels, row by row.
pub(super) fn draw(class: Class, px: u32, random: &mut Random) -> Vec<u8> {
    let scene = Scene::draw(class, random);
    let noise = random.between(0.004, 0.03);
    let mut rgb = Vec::with_capacity((px * px * 3) as usize);
    for row in 0..px {
        for column in 0..px {
            let colour = scene.pixel(column, row, px);
            rgb.extend(colour.map(|value| to_byte(value + noise * random.normal())));
        }
    }
    rgb
}

#[derive(Debug)]
struct Scene {
    background: Background,
    clutter: Vec<Blot>,
    objects: Vec<Object>,
    light: Light,
}

#[derive(Debug)]
struct Background {
    colours: [Colour; 2],
    /// Cells of noise over the image.
    grain: f32,
    seed: u64,
}

/// A piece of clutter: an ellipse or a stroke.
#[derive(Debug)]
struct Blot {
    frame: Frame,
    half_width: f32,
    colour: Colour,
    opacity: f32,
    in_front: bool,
}

#[derive(Debug)]
struct Object {
    shape: Shape,
    texture: Texture,
    frame: Frame,
    /// Pattern against outline: rotation as (cos, sin), and periods per radius.
    texture_turn: (f32, f32),
    periods: f32,
    /// Where in its period the pattern starts.
    phase: (f32, f32),
    colours: [Colour; 2],
    seed: u64,
}

/// Where something is, how large, and how it is turned.
#[derive(Debug)]
struct Frame {
    x: f32,
    y: f32,
    cos: f32,
    sin: f32,
    width: f32,
    height: f32,
}

/// Brightness across the image.
#[derive(Debug)]
struct Light {
    gradient: (f32, f32),
    level: f32,
    vignette: f32,
}

impl Scene {
    fn draw(class: Class, random: &mut Random) -> Self {
        let background = Background::draw(random);
        let num_behind = random.whole(2, 6);
        let num_in_front = random.whole(0, 2);
        let mut clutter: Vec<Blot> = (0..num_behind).map(|_| Blot::draw(random, false)).collect();
        clutter.extend((0..num_in_front).map(|_| Blot::draw(random, true)));
        let objects = places(random)
            .into_iter()
            .map(|(x, y)| Object::draw(class, (x, y), luma(&background.colour(x, y)), random))
            .collect();
        Self {
            background,
            clutter,
            objects,
            light: Light::draw(random),
        }
    }

    /// The mean over the sample points of a pixel.
    fn pixel(&self, column: u32, row: u32, px: u32) -> Colour {
        let at = |pixel: u32, part: u32| {
            (pixel as f32 + (part as f32 + 0.5) / SUPERSAMPLING as f32) / px as f32 * 2.0 - 1.0
        };
        let mut sum = [0.0; 3];
        for part in 0..SUPERSAMPLING * SUPERSAMPLING {
            let (x, y) = (
                at(column, part % SUPERSAMPLING),
                at(row, part / SUPERSAMPLING),
            );
            let colour = self.colour(x, y, 1.0 / px as f32);
            (0..3).for_each(|channel| sum[channel] += colour[channel]);
        }
        sum.map(|value| value / (SUPERSAMPLING * SUPERSAMPLING) as f32)
    }

    /// The colour at a point; edges are softened over `blur`.
    fn colour(&self, x: f32, y: f32, blur: f32) -> Colour {
        let mut colour = self.background.colour(x, y);
        for blot in self.clutter.iter().filter(|blot| !blot.in_front) {
            colour = mix(&colour, &blot.colour, blot.cover(x, y, blur));
        }
        for object in &self.objects {
            let (surface, cover) = object.colour(x, y, blur);
            colour = mix(&colour, &surface, cover);
        }
        for blot in self.clutter.iter().filter(|blot| blot.in_front) {
            colour = mix(&colour, &blot.colour, blot.cover(x, y, blur));
        }
        let brightness = self.light.brightness(x, y);
        colour.map(|value| value * brightness)
    }
}

impl Background {
    fn draw(random: &mut Random) -> Self {
        let first = colour(random, 0.35, 0.7);
        let second = colour(random, 0.35, 0.7);
        Self {
            colours: [first, second],
            grain: random.between(1.5, 6.0),
            seed: random.bits(),
        }
    }

    fn colour(&self, x: f32, y: f32) -> Colour {
        let coarse = smooth_noise(self.seed, x * self.grain, y * self.grain);
        let fine = smooth_noise(!self.seed, x * self.grain * 3.0, y * self.grain * 3.0);
        mix(
            &self.colours[0],
            &self.colours[1],
            0.65 * coarse + 0.35 * fine,
        )
    }
}

impl Blot {
    fn draw(random: &mut Random, in_front: bool) -> Self {
        let long = random.between(0.12, 0.5);
        let thin = random.between(0.03, 0.12);
        let (x, y) = (random.between(-1.0, 1.0), random.between(-1.0, 1.0));
        let angle = random.between(0.0, std::f32::consts::TAU);
        let size = if in_front { 0.5 } else { 1.0 };
        Self {
            frame: Frame::new(x, y, angle, long * size, long * size),
            half_width: (thin / long).max(random.between(0.0, 0.5)),
            colour: colour(random, 0.15, 0.9),
            opacity: random.between(0.35, 0.9),
            in_front,
        }
    }

    fn cover(&self, x: f32, y: f32, blur: f32) -> f32 {
        let (u, v) = self.frame.inside(x, y);
        let distance = (u * u + (v / self.half_width) * (v / self.half_width)).sqrt() - 1.0;
        self.opacity * cover(distance * self.half_width, blur / self.frame.width)
    }
}

impl Object {
    fn draw(class: Class, (x, y): (f32, f32), background_luma: f32, random: &mut Random) -> Self {
        let radius = random.between(0.2, 0.32);
        let stretch = random.between(0.88, 1.14);
        let angle = random.between(-0.5, 0.5);
        let texture_angle = random.between(-0.25, 0.25);
        let colours = contrasting_colours(background_luma, random);
        Self {
            shape: class.shape(),
            texture: class.texture(),
            frame: Frame::new(x, y, angle, radius * stretch, radius / stretch),
            texture_turn: (texture_angle.cos(), texture_angle.sin()),
            periods: random.between(1.2, 1.7),
            phase: (random.between(0.0, 2.0), random.between(0.0, 2.0)),
            colours,
            seed: random.bits(),
        }
    }

    /// Colour and cover at a point.
    fn colour(&self, x: f32, y: f32, blur: f32) -> (Colour, f32) {
        let (u, v) = self.frame.inside(x, y);
        let cover = cover(self.shape.distance(u, v), blur / self.frame.width);
        if cover == 0.0 {
            return (self.colours[0], 0.0);
        }
        let (cos, sin) = self.texture_turn;
        let (s, t) = (
            (u * cos + v * sin) * self.periods,
            (v * cos - u * sin) * self.periods,
        );
        let share = self.texture.share((s, t), self.phase, self.seed);
        (mix(&self.colours[0], &self.colours[1], share), cover)
    }
}

impl Frame {
    fn new(x: f32, y: f32, angle: f32, width: f32, height: f32) -> Self {
        Self {
            x,
            y,
            cos: angle.cos(),
            sin: angle.sin(),
            width,
            height,
        }
    }

    /// Coordinates of a point in this frame.
    fn inside(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.x, y - self.y);
        (
            (dx * self.cos + dy * self.sin) / self.width,
            (dy * self.cos - dx * self.sin) / self.height,
        )
    }
}

impl Light {
    fn draw(random: &mut Random) -> Self {
        let angle = random.between(0.0, std::f32::consts::TAU);
        let strength = random.between(0.0, 0.28);
        let gradient = (strength * angle.cos(), strength * angle.sin());
        Self {
            gradient,
            level: random.between(0.8, 1.15),
            vignette: random.between(0.0, 0.15),
        }
    }

    fn brightness(&self, x: f32, y: f32) -> f32 {
        self.level + self.gradient.0 * x + self.gradient.1 * y - self.vignette * (x * x + y * y)
    }
}

/// Where the objects are: near the points of a lattice that is turned and shifted, some of them missing.
fn places(random: &mut Random) -> Vec<(f32, f32)> {
    const SPACING: f32 = 0.56;
    let (sin, cos) = random.between(0.0, std::f32::consts::TAU).sin_cos();
    let shift = (random.between(0.0, SPACING), random.between(0.0, SPACING));
    let mut places = Vec::new();
    for cell in 0..81 {
        let along = |cell: i32, shift: f32, random: &mut Random| {
            (cell - 4) as f32 * SPACING + shift + random.between(-0.08, 0.08)
        };
        let (u, v) = (
            along(cell % 9, shift.0, random),
            along(cell / 9, shift.1, random),
        );
        let (x, y) = (u * cos - v * sin, u * sin + v * cos);
        if x.abs() < 1.2 && y.abs() < 1.2 && random.between(0.0, 1.0) < 0.85 {
            places.push((x, y));
        }
    }
    places
}

/// Two colours that differ from each other, of which one differs from the background, in luma.
fn contrasting_colours(background_luma: f32, random: &mut Random) -> [Colour; 2] {
    loop {
        let pair = [colour(random, 0.1, 0.95), colour(random, 0.1, 0.95)];
        let (first, second) = (luma(&pair[0]), luma(&pair[1]));
        if (first - second).abs() > 0.3 && (first - background_luma).abs() > 0.2 {
            return pair;
        }
    }
}

/// A colour of any hue, not too vivid.
fn colour(random: &mut Random, darkest: f32, brightest: f32) -> Colour {
    let hue = random.between(0.0, 6.0);
    let saturation = random.between(0.0, 0.35);
    let value = random.between(darkest, brightest);
    let channel = |offset: f32| {
        let position = (hue + offset).rem_euclid(6.0);
        let chroma = position.min(4.0 - position).clamp(0.0, 1.0);
        value * (1.0 - saturation * chroma)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

fn luma(colour: &Colour) -> f32 {
    0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
}

fn mix(from: &Colour, to: &Colour, share: f32) -> Colour {
    [0, 1, 2].map(|channel| from[channel] + (to[channel] - from[channel]) * share)
}

/// How much of a point at this signed distance from an edge is inside.
fn cover(distance: f32, blur: f32) -> f32 {
    (0.5 - distance / (2.0 * blur)).clamp(0.0, 1.0)
}

fn to_byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}
