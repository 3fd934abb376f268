//! What a subscriber asks for: the views to make of every image.
//!
//! A [`Recipe`] is plain data that travels in the subscription. It says nothing about *how* a view is made (that is the
//! loader's `augment` room) nor about which images are served. Nothing here runs on a thread of its own.

use serde::{Deserialize, Serialize};

use crate::reason::{ErrorKind, Reason};

/// The views made of each image, in order: global views first, then local ones. [`Recipe::named`] has those of published methods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// One entry per view; consecutive views of one size form a [`ViewGroup`].
    pub views: Vec<ViewSpec>,
}

/// How one view is drawn: crop, flip, jitter, grey, blur, solarise, in this order (SSLight section 3.3, DINO's order).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewSpec {
    /// Height and width of the view in pixels.
    pub size: u32,
    /// Which part of the image the view shows.
    pub crop: Crop,
    /// Probability of a horizontal flip.
    pub flip_prob: f32,
    /// Colour jitter in random order of its four operations.
    pub jitter: Jitter,
    /// Probability of turning the view grey (three equal channels).
    pub grey_prob: f32,
    /// Gaussian blur, Pillow's extended box blur in three passes.
    pub blur: Blur,
    /// Probability of inverting every value of 128 or more.
    pub solarize_prob: f32,
}

/// The part of the image that a view shows, resized bicubically with antialiasing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Crop {
    /// torchvision's `RandomResizedCrop`: area fraction uniform, aspect ratio log-uniform, ten tries, then the centre.
    RandomResized {
        /// Lowest and highest fraction of the image's area.
        scale: [f32; 2],
        /// Lowest and highest width / height.
        ratio: [f32; 2],
    },
    /// The short side resized to `resize_short` pixels, then the centre `size` x `size` pixels (evaluation).
    Center {
        /// Length of the short side after the resize, in pixels.
        resize_short: u32,
    },
}

/// Colour jitter: factors uniform in `[max(0, 1 - x), 1 + x]`, hue uniform in `[-hue, hue]` turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    /// Probability of any jitter at all.
    pub prob: f32,
    /// Half-width of the brightness factor.
    pub brightness: f32,
    /// Half-width of the contrast factor.
    pub contrast: f32,
    /// Half-width of the saturation factor.
    pub saturation: f32,
    /// Half-width of the hue shift in turns, at most 0.5.
    pub hue: f32,
}

/// Gaussian blur with a radius (standard deviation, pixels) uniform in `radius`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blur {
    /// Probability of blurring.
    pub prob: f32,
    /// Lowest and highest radius in pixels.
    pub radius: [f32; 2],
}

/// A run of consecutive views of one size; one tensor `[num_views, batch, size, size, 3]` in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewGroup {
    /// Index of the first view of the group in the recipe.
    pub first_view: usize,
    /// Number of views in the group.
    pub num_views: usize,
    /// Height and width in pixels.
    pub size: u32,
}

/// Largest view a recipe may ask for, in pixels.
pub const MAX_VIEW_SIZE: u32 = 4096;
/// Most views a recipe may ask for.
pub const MAX_VIEWS: usize = 64;

impl Jitter {
    /// No jitter.
    pub const NONE: Jitter = Jitter {
        prob: 0.0,
        brightness: 0.0,
        contrast: 0.0,
        saturation: 0.0,
        hue: 0.0,
    };
}

impl Blur {
    /// No blur.
    pub const NONE: Blur = Blur {
        prob: 0.0,
        radius: [0.1, 2.0],
    };
}

impl Recipe {
    /// Views grouped by size, in order.
    pub fn groups(&self) -> Vec<ViewGroup> {
        let mut groups: Vec<ViewGroup> = Vec::new();
        for (first_view, view) in self.views.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if group.size == view.size => group.num_views += 1,
                _ => groups.push(ViewGroup {
                    first_view,
                    num_views: 1,
                    size: view.size,
                }),
            }
        }
        groups
    }

    /// Every rule the recipe breaks, one sentence each; empty when it is sound.
    pub fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.views.is_empty() || self.views.len() > MAX_VIEWS {
            found.push(format!(
                "a recipe has 1 to {MAX_VIEWS} views, this one {}",
                self.views.len()
            ));
        }
        for (index, view) in self.views.iter().enumerate() {
            found.extend(
                view.violations()
                    .into_iter()
                    .map(|what| format!("view {index}: {what}")),
            );
        }
        found
    }

    /// Whether it is sound.
    ///
    /// # Errors
    /// With every rule that it breaks.
    pub fn check(&self) -> Result<(), Reason> {
        match self.violations() {
            broken if broken.is_empty() => Ok(()),
            broken => {
                let what = format!("bad recipe: {}", broken.join("; "));
                let remedy = "mend the recipe, or start from one that has a name";
                Err(Reason::new(ErrorKind::Usage, what, "", remedy))
            }
        }
    }
}

impl ViewSpec {
    fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.size == 0 || self.size > MAX_VIEW_SIZE {
            found.push(format!("size {} is outside 1..={MAX_VIEW_SIZE}", self.size));
        }
        let probabilities = [
            ("flip", self.flip_prob),
            ("jitter", self.jitter.prob),
            ("grey", self.grey_prob),
            ("blur", self.blur.prob),
            ("solarize", self.solarize_prob),
        ];
        for (name, prob) in probabilities {
            if !(0.0..=1.0).contains(&prob) {
                found.push(format!("{name} probability {prob} is outside 0..=1"));
            }
        }
        found.extend(self.crop.violation(self.size));
        found.extend(self.jitter.violation());
        let [low, high] = self.blur.radius;
        if !(0.0 <= low && low <= high && high <= 64.0) {
            found.push(format!(
                "blur radius {low}..{high} is not an interval within 0..=64"
            ));
        }
        found
    }
}

impl Crop {
    fn violation(&self, size: u32) -> Option<String> {
        match *self {
            Crop::RandomResized {
                scale: [low, high],
                ratio: [narrow, wide],
            } => {
                let sound = 0.0 < low && low <= high && high <= 1.0;
                let sound = sound && 0.0 < narrow && narrow <= wide && wide.is_finite();
                (!sound).then(|| {
                    format!("crop scale {low}..{high} must lie in (0, 1] and ratio {narrow}..{wide} above 0, low first")
                })
            }
            Crop::Center { resize_short } => (resize_short < size || resize_short > MAX_VIEW_SIZE)
                .then(|| {
                    format!("resize_short {resize_short} is outside {size}..={MAX_VIEW_SIZE}")
                }),
        }
    }
}

impl Jitter {
    fn violation(&self) -> Option<String> {
        let widths = [self.brightness, self.contrast, self.saturation];
        let sound = widths.iter().all(|width| (0.0..=16.0).contains(width))
            && (0.0..=0.5).contains(&self.hue);
        (!sound).then(|| "jitter widths must lie in 0..=16 and hue in 0..=0.5".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(size: u32) -> ViewSpec {
        ViewSpec {
            size,
            crop: Crop::RandomResized {
                scale: [0.3, 1.0],
                ratio: [0.75, 4.0 / 3.0],
            },
            flip_prob: 0.5,
            jitter: Jitter {
                prob: 0.8,
                brightness: 0.4,
                contrast: 0.4,
                saturation: 0.2,
                hue: 0.1,
            },
            grey_prob: 0.2,
            blur: Blur {
                prob: 1.0,
                radius: [0.1, 2.0],
            },
            solarize_prob: 0.2,
        }
    }

    #[test]
    fn consecutive_views_of_one_size_form_a_group() {
        let recipe = Recipe {
            views: vec![view(224), view(224), view(128), view(128), view(128)],
        };
        let sizes: Vec<_> = recipe
            .groups()
            .iter()
            .map(|g| (g.first_view, g.num_views, g.size))
            .collect();
        assert_eq!(sizes, [(0, 2, 224), (2, 3, 128)]);
    }

    #[test]
    fn every_broken_rule_is_named() {
        let mut broken = view(0);
        broken.flip_prob = 1.5;
        broken.crop = Crop::RandomResized {
            scale: [0.9, 0.3],
            ratio: [0.75, 1.3],
        };
        broken.jitter.hue = 0.7;
        let found = Recipe {
            views: vec![broken],
        }
        .violations();
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(
            Recipe {
                views: vec![view(64)]
            }
            .violations()
            .is_empty()
        );
        assert!(!Recipe { views: Vec::new() }.violations().is_empty());
        assert!(
            !Recipe {
                views: vec![ViewSpec {
                    flip_prob: f32::NAN,
                    ..view(8)
                }]
            }
            .violations()
            .is_empty()
        );
    }
}
