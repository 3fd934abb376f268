//! Recipes that have a name: the views of published methods, those of a classifier, and those of an evaluation.
//!
//! Each has the probabilities and ranges of its source, applied by this loader's operations in this loader's order. So crops are resized
//! bicubically with antialiasing, as in DINO; SwAV, MoCo and SimCLR's authors resize and blur by other code, which changes pixels and no numbers
//! here. It does not know what else a recipe can be: [`Recipe`] is plain data, and these are places to start from.

use crate::reason::{ErrorKind, Reason};
use crate::recipe::{Blur, Crop, Jitter, Recipe, ViewSpec};

/// Makes a recipe of the same name.
type Maker = fn() -> Recipe;

const NAMED: [(&str, Maker); 7] = [
    ("sslight", Recipe::sslight),
    ("dino", Recipe::dino),
    ("swav", Recipe::swav),
    ("moco", Recipe::moco),
    ("simclr", Recipe::simclr),
    ("supervised", Recipe::supervised),
    ("val", Recipe::val),
];

/// torchvision's aspect ratios of a random crop, and those of every source here.
const RATIO: [f32; 2] = [3.0 / 4.0, 4.0 / 3.0];
/// Pixels of a large view, and of the images that ImageNet's classifiers are measured on.
const LARGE: u32 = 224;

impl Recipe {
    /// The recipe of this name; see the functions of the same names.
    ///
    /// # Errors
    /// When none is called so; the reason lists those that are.
    pub fn named(name: &str) -> Result<Recipe, Reason> {
        let found = NAMED.iter().find(|(known, _)| *known == name);
        let recipe = found.map(|(_, recipe)| recipe());
        recipe.ok_or_else(|| {
            let remedy = format!("ask for {}", Recipe::names().collect::<Vec<_>>().join(", "));
            let what = format!("there is no recipe called `{name}`");
            Reason::new(ErrorKind::Usage, what, "", remedy)
        })
    }

    /// The names that [`Recipe::named`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMED.iter().map(|(name, _)| *name)
    }

    /// The paper's views for CNNs (SSLight, section 3.3): two global views of .3-1 at 224 pixels, six local ones of .05-.3 at 128.
    pub fn sslight() -> Recipe {
        multi_crop([0.3, 1.0], (6, 128, [0.05, 0.3]))
    }

    /// The defaults of DINO's authors: two global views of .4-1 at 224 pixels, eight local ones of .05-.4 at 96.
    pub fn dino() -> Recipe {
        multi_crop([0.4, 1.0], (8, 96, [0.05, 0.4]))
    }

    /// SwAV's views of 2 x 224 + 6 x 96 pixels: .14-1 and .05-.14 of the image, SimCLR's colours, half of them blurred.
    pub fn swav() -> Recipe {
        let mut views = vec![contrastive(LARGE, [0.14, 1.0], STRONG); 2];
        views.extend(vec![contrastive(96, [0.05, 0.14], STRONG); 6]);
        Recipe { views }
    }

    /// MoCo v2's two views of .2-1 at 224 pixels.
    pub fn moco() -> Recipe {
        let jitter = Jitter {
            saturation: 0.4,
            ..WEAK
        };
        Recipe {
            views: vec![contrastive(LARGE, [0.2, 1.0], jitter); 2],
        }
    }

    /// SimCLR's two views of .08-1 at 224 pixels, colours at full strength.
    pub fn simclr() -> Recipe {
        Recipe {
            views: vec![contrastive(LARGE, [0.08, 1.0], STRONG); 2],
        }
    }

    /// What a classifier is trained on: one view of .08-1 at 224 pixels, flipped half of the time (torchvision's reference recipe).
    pub fn supervised() -> Recipe {
        let plain = ViewSpec {
            flip_prob: 0.5,
            ..plain(LARGE, random_crop([0.08, 1.0]))
        };
        Recipe { views: vec![plain] }
    }

    /// What a classifier is measured on: the short side to 256 pixels, then the central 224.
    pub fn val() -> Recipe {
        Recipe::evaluation(256, LARGE)
    }

    /// The evaluation recipe: one view, short side to `resize_short`, centre crop of `size` pixels, nothing random.
    pub fn evaluation(resize_short: u32, size: u32) -> Recipe {
        Recipe {
            views: vec![plain(size, Crop::Center { resize_short })],
        }
    }
}

/// DINO's jitter.
const WEAK: Jitter = Jitter {
    prob: 0.8,
    brightness: 0.4,
    contrast: 0.4,
    saturation: 0.2,
    hue: 0.1,
};

/// SimCLR's jitter at strength 1.
const STRONG: Jitter = Jitter {
    prob: 0.8,
    brightness: 0.8,
    contrast: 0.8,
    saturation: 0.8,
    hue: 0.2,
};

/// DINO's multi-crop: of two global views the first is always blurred, the second seldom, and solarised now and then; then `(number, size, scale)`
/// local ones.
fn multi_crop(global_scale: [f32; 2], (num_local, size, scale): (usize, u32, [f32; 2])) -> Recipe {
    let view = |size, scale, blur_prob, solarize_prob| {
        let blur = Blur {
            prob: blur_prob,
            ..Blur::NONE
        };
        ViewSpec {
            blur,
            solarize_prob,
            ..contrastive(size, scale, WEAK)
        }
    };
    let mut views = vec![
        view(LARGE, global_scale, 1.0, 0.0),
        view(LARGE, global_scale, 0.1, 0.2),
    ];
    views.extend(vec![view(size, scale, 0.5, 0.0); num_local]);
    Recipe { views }
}

/// A view as SimCLR's descendants make it: cropped, flipped half of the time, jittered, grey in a fifth of all cases, blurred in half of them.
fn contrastive(size: u32, scale: [f32; 2], jitter: Jitter) -> ViewSpec {
    ViewSpec {
        flip_prob: 0.5,
        jitter,
        grey_prob: 0.2,
        blur: Blur {
            prob: 0.5,
            ..Blur::NONE
        },
        ..plain(size, random_crop(scale))
    }
}

fn random_crop(scale: [f32; 2]) -> Crop {
    Crop::RandomResized {
        scale,
        ratio: RATIO,
    }
}

/// A view that is cropped and nothing else.
fn plain(size: u32, crop: Crop) -> ViewSpec {
    ViewSpec {
        size,
        crop,
        flip_prob: 0.0,
        jitter: Jitter::NONE,
        grey_prob: 0.0,
        blur: Blur::NONE,
        solarize_prob: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_recipe_is_sound_and_has_the_views_of_its_source() {
        let shape = |name: &str| -> Vec<(usize, u32)> {
            let recipe = Recipe::named(name).unwrap();
            assert_eq!(recipe.violations(), Vec::<String>::new(), "{name}");
            let groups = recipe.groups();
            groups.iter().map(|g| (g.num_views, g.size)).collect()
        };
        let shapes: Vec<_> = Recipe::names().map(|name| (name, shape(name))).collect();
        assert_eq!(
            shapes,
            [
                ("sslight", vec![(2, 224), (6, 128)]),
                ("dino", vec![(2, 224), (8, 96)]),
                ("swav", vec![(2, 224), (6, 96)]),
                ("moco", vec![(2, 224)]),
                ("simclr", vec![(2, 224)]),
                ("supervised", vec![(1, 224)]),
                ("val", vec![(1, 224)]),
            ]
        );
    }

    #[test]
    fn sslight_blurs_its_first_global_view_and_solarises_its_second_alone() {
        let views = Recipe::sslight().views;
        let told = |view: &ViewSpec| (view.blur.prob, view.solarize_prob);
        assert_eq!(
            views.iter().map(told).collect::<Vec<_>>()[..3],
            [(1.0, 0.0), (0.1, 0.2), (0.5, 0.0)]
        );
    }

    #[test]
    fn an_unknown_name_is_told_with_those_that_are_known() {
        let reason = Recipe::named("dyno").unwrap_err();
        assert_eq!(reason.kind, ErrorKind::Usage);
        assert_eq!(
            reason.to_string(),
            "there is no recipe called `dyno`; ask for sslight, dino, swav, moco, simclr, supervised, val"
        );
    }
}
