//! From settings to the views that the loader is asked for (SSLight section 3.3, method of DINO).

use loader_ipc::recipe::{Blur, Crop, Jitter, Recipe, ViewSpec};

use super::access::{MULTI_VIEWS, TWO_VIEWS};
use super::raw::RawConfig;

/// Numbers of global and local views.
pub(super) const COUNTS: &str = "MULTI_VIEWS_TRANSFORMS.NMB_CROPS";

/// Radius of the Gaussian blur in pixels, as in the reference.
const BLUR_RADIUS: [f32; 2] = [0.1, 2.0];
/// Aspect ratios of a random crop, as in torchvision.
const CROP_RATIO: [f32; 2] = [3.0 / 4.0, 4.0 / 3.0];
/// The evaluation resizes the short side to 256 where it crops 224.
const EVALUATION_RESIZE: (i64, i64) = (256, 224);

/// The training views: two global ones, then the local ones, unless only global ones are read.
///
/// Of the reference's pairs of probabilities the first value counts for every view, as there; blur has a value for each global view and one
/// for all local ones. Solarisation takes the second value for the second global view, and the first value for the first one where there are
/// only two.
pub(super) fn training(raw: &RawConfig) -> Recipe {
    let section = raw.views_section();
    let floats = |key: &str| raw.floats(&format!("{section}.{key}"));
    let (blur, solarize) = (floats("GAUSSIAN_BLUR_PROB"), floats("SOLARIZATION_PROB"));
    let crops = raw.ints(COUNTS);
    let mut views = Vec::new();
    for index in 0..crops[0] {
        let is_second = index == 1;
        let mut spec = view(raw, section, "GLOBAL", blur[usize::from(is_second)]);
        spec.solarize_prob = match (is_second, section) {
            (true, _) => solarize[1] as f32,
            (false, TWO_VIEWS) => solarize[0] as f32,
            (false, _) => 0.0,
        };
        views.push(spec);
    }
    if !raw.is_moco_global_only() {
        let local = view(raw, section, "LOCAL", blur[2]);
        views.extend((0..crops[1]).map(|_| local.clone()));
    }
    Recipe { views }
}

/// The one view of an image that a classifier learns from: cropped at random and perhaps flipped.
pub(super) fn classification(raw: &RawConfig) -> Recipe {
    let plain = ViewSpec {
        jitter: Jitter::NONE,
        grey_prob: 0.0,
        blur: Blur::NONE,
        ..view(raw, MULTI_VIEWS, "GLOBAL", 0.0)
    };
    let views = vec![plain];
    Recipe { views }
}

/// The validation view: the centre of the image, at the size of a global view.
pub(super) fn evaluation(raw: &RawConfig) -> Recipe {
    let section = raw.views_section();
    let size = raw.int(&format!("{section}.GLOBAL_CROP_SIZE"));
    let (resize, crop) = EVALUATION_RESIZE;
    Recipe::evaluation((size * resize / crop) as u32, size as u32)
}

fn view(raw: &RawConfig, section: &str, which: &str, blur_prob: f64) -> ViewSpec {
    let floats = |key: &str| raw.floats(&format!("{section}.{key}"));
    let prob = |key: &str| floats(key)[0] as f32;
    let jitter = floats("COLOR_JITTER_INTENSITY");
    let scale = floats(&format!("{which}_CROPS_SCALE"));
    ViewSpec {
        size: raw.int(&format!("{section}.{which}_CROP_SIZE")) as u32,
        crop: Crop::RandomResized {
            scale: [scale[0] as f32, scale[1] as f32],
            ratio: CROP_RATIO,
        },
        flip_prob: prob("RANDOM_HORIZONTAL_FLIP_PROB"),
        jitter: Jitter {
            prob: prob("COLOR_JITTER_PROB"),
            brightness: jitter[0] as f32,
            contrast: jitter[1] as f32,
            saturation: jitter[2] as f32,
            hue: jitter[3] as f32,
        },
        grey_prob: prob("GREYSCALE_PROB"),
        blur: Blur {
            prob: blur_prob as f32,
            radius: BLUR_RADIUS,
        },
        solarize_prob: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_second_global_view_is_solarised_and_each_kind_has_its_blur() {
        let raw = RawConfig::parse("a.yaml", "", &[]).unwrap();
        let views = training(&raw).views;
        let shape: Vec<_> = views
            .iter()
            .map(|view| (view.size, view.blur.prob))
            .collect();
        assert_eq!(shape[..3], [(224, 1.0), (224, 0.1), (96, 0.5)]);
        assert_eq!(views.len(), 8);
        let solarised: Vec<f32> = views.iter().map(|view| view.solarize_prob).collect();
        assert_eq!(solarised, [0.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_classifier_sees_one_view_that_is_cropped_and_flipped_alone() {
        let raw = RawConfig::parse("a.yaml", "EVAL_METHOD: Linear", &[]).unwrap();
        let [view] = &classification(&raw).views[..] else {
            panic!("one view");
        };
        assert_eq!((view.size, view.flip_prob), (224, 0.5));
        let scale = [0.08, 1.0];
        let ratio = CROP_RATIO;
        assert_eq!(view.crop, Crop::RandomResized { scale, ratio });
        let plain = (Jitter::NONE, 0.0, 0.0, 0.0);
        let found = (
            view.jitter.clone(),
            view.grey_prob,
            view.blur.prob,
            view.solarize_prob,
        );
        assert_eq!(found, plain);
    }

    #[test]
    fn moco_with_one_query_cuts_two_views_by_the_section_that_is_set() {
        let pairs = |more: &[&str]| {
            let pairs = [&["SSL_METHOD", "MOCO", "MOCO.GLOBAL_ONLY", "True"], more].concat();
            let pairs: Vec<String> = pairs.iter().map(ToString::to_string).collect();
            RawConfig::parse("a.yaml", "", &pairs).unwrap()
        };
        let scale = |raw: &RawConfig| match training(raw).views[..] {
            [
                ViewSpec {
                    crop: Crop::RandomResized { scale, .. },
                    ..
                },
                _,
            ] => scale,
            ref views => panic!("{} views", views.len()),
        };
        assert_eq!(scale(&pairs(&[])), [0.25, 1.0]);
        let two = pairs(&[
            "TWO_VIEWS_TRANSFORMS.SOLARIZATION_PROB",
            "[0.3, 0.4]",
            "TWO_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE",
            "112",
        ]);
        assert_eq!(scale(&two), [0.08, 1.0]);
        let views = training(&two).views;
        assert_eq!([views[0].solarize_prob, views[1].solarize_prob], [0.3, 0.4]);
        assert_eq!(evaluation(&two), Recipe::evaluation(128, 112));
    }

    #[test]
    fn the_evaluation_keeps_the_ratio_of_256_to_224() {
        let raw = |size: &str| {
            let pairs = [
                "MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE".to_owned(),
                size.to_owned(),
            ];
            RawConfig::parse("a.yaml", "", &pairs).unwrap()
        };
        assert_eq!(evaluation(&raw("224")), Recipe::evaluation(256, 224));
        assert_eq!(evaluation(&raw("64")), Recipe::evaluation(73, 64));
    }
}
