use proptest::prelude::*;

use super::*;

const KEY: ViewKey = ViewKey {
    seed: 1,
    epoch: 2,
    sample: 3,
    view: 4,
};

fn spec(size: u32, crop: Crop) -> ViewSpec {
    ViewSpec {
        size,
        crop,
        flip_prob: 0.5,
        jitter: recipe::Jitter {
            prob: 0.8,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.2,
            hue: 0.1,
        },
        grey_prob: 0.2,
        blur: Blur {
            prob: 0.5,
            radius: [0.1, 2.0],
        },
        solarize_prob: 0.1,
    }
}

fn random(scale: [f32; 2], ratio: [f32; 2]) -> Crop {
    Crop::RandomResized { scale, ratio }
}

fn usual() -> ViewSpec {
    spec(96, random([0.05, 0.3], [0.75, 4.0 / 3.0]))
}

#[test]
fn one_key_always_gives_one_view_and_every_part_of_the_key_counts() {
    let view = |key| draw(key, &usual(), 500, 375);
    assert_eq!(view(KEY), view(KEY));
    let others = [
        ViewKey {
            seed: 1 << 40,
            ..KEY
        },
        ViewKey { seed: 9, ..KEY },
        ViewKey { epoch: 9, ..KEY },
        ViewKey {
            sample: 3 + (1 << 40),
            ..KEY
        },
        ViewKey { sample: 9, ..KEY },
        ViewKey { view: 9, ..KEY },
    ];
    for other in others {
        assert_ne!(view(other), view(KEY), "{other:?}");
    }
}

#[test]
fn leaving_out_an_operation_changes_nothing_else() {
    let with = draw(
        KEY,
        &ViewSpec {
            grey_prob: 1.0,
            ..usual()
        },
        500,
        375,
    );
    let without = draw(
        KEY,
        &ViewSpec {
            grey_prob: 0.0,
            ..usual()
        },
        500,
        375,
    );
    assert!(with.grey);
    assert_eq!(
        ViewParams {
            grey: false,
            ..with
        },
        without
    );
}

#[test]
fn every_order_of_the_jitter_is_as_likely() {
    let mut counts = std::collections::HashMap::new();
    for number in 0..24 {
        *counts
            .entry(permutation(number).map(|op| op as u8))
            .or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 24);
}

#[test]
fn events_happen_as_often_as_the_recipe_says() {
    const NUM: u64 = 20_000;
    let views: Vec<_> = (0..NUM)
        .map(|sample| draw(ViewKey { sample, ..KEY }, &usual(), 500, 375))
        .collect();
    let share = |happens: fn(&ViewParams) -> bool| {
        views.iter().filter(|view| happens(view)).count() as f64 / NUM as f64
    };
    let shares = [
        (share(|view| view.flip), 0.5),
        (share(|view| view.jitter.is_some()), 0.8),
        (share(|view| view.grey), 0.2),
        (share(|view| view.blur.is_some()), 0.5),
        (share(|view| view.solarize), 0.1),
        (share(|view| view.flip && view.grey), 0.1),
    ];
    for (share, expected) in shares {
        // Four standard deviations.
        let allowed = 4.0 * (expected * (1.0 - expected) / NUM as f64).sqrt();
        assert!(
            (share - expected).abs() < allowed,
            "{share} instead of {expected}"
        );
    }
}

#[test]
fn factors_fill_their_intervals() {
    let views = (0..4000).map(|sample| draw(ViewKey { sample, ..KEY }, &usual(), 500, 375));
    let jitters: Vec<_> = views.filter_map(|view| view.jitter).collect();
    let bounds = |value: fn(&Jitter) -> f32| {
        let values = jitters.iter().map(value);
        values.fold((f32::MAX, f32::MIN), |(low, high), v| {
            (low.min(v), high.max(v))
        })
    };
    let assert_close = |(low, high): (f32, f32), expected: (f32, f32)| {
        let width = expected.1 - expected.0;
        assert!(
            low >= expected.0 && low < expected.0 + 0.01 * width,
            "{low}"
        );
        assert!(
            high <= expected.1 && high > expected.1 - 0.01 * width,
            "{high}"
        );
    };
    assert_close(bounds(|jitter| jitter.brightness), (0.6, 1.4));
    assert_close(bounds(|jitter| jitter.contrast), (0.6, 1.4));
    assert_close(bounds(|jitter| jitter.saturation), (0.8, 1.2));
    assert_close(
        bounds(|jitter| jitter.hue.expect("hue is asked for")),
        (-0.1, 0.1),
    );
}

#[test]
fn without_a_hue_width_there_is_no_hue_shift() {
    let mut spec = usual();
    (spec.jitter.prob, spec.jitter.hue) = (1.0, 0.0);
    assert_eq!(draw(KEY, &spec, 9, 9).jitter.expect("certain").hue, None);
}

#[test]
fn evaluation_takes_the_middle_of_the_shrunk_image() {
    let view = draw(
        KEY,
        &spec(224, Crop::Center { resize_short: 256 }),
        500,
        375,
    );
    assert_eq!(
        view.crop,
        Rect {
            left: 0,
            top: 0,
            width: 500,
            height: 375
        }
    );
    assert_eq!(view.resized, (341, 256));
    // (341 - 224) / 2 = 58.5, to even.
    assert_eq!(view.window, (58, 16));
}

#[test]
fn an_image_too_narrow_for_any_try_is_cropped_in_the_middle() {
    let view = draw(
        KEY,
        &spec(8, random([0.9, 1.0], [0.75, 4.0 / 3.0])),
        10,
        1000,
    );
    assert_eq!(
        view.crop,
        Rect {
            left: 0,
            top: 493,
            width: 10,
            height: 13
        }
    );
}

proptest! {
    #[test]
    fn crops_lie_within_the_image(
        width in 1u32..5000, height in 1u32..5000, sample in any::<u64>(),
        low in 0.0001f32..1.0, more in 0.0f32..1.0, narrow in 0.01f32..50.0, wider in 1.0f32..50.0,
    ) {
        let scale = [low, low + more * (1.0 - low)];
        let crop = random(scale, [narrow, narrow * wider]);
        let view = draw(ViewKey { sample, ..KEY }, &spec(8, crop), width, height);
        let Rect { left, top, width: w, height: h } = view.crop;
        prop_assert!(w > 0 && h > 0 && left + w <= width && top + h <= height, "{:?}", view.crop);
    }

    #[test]
    fn windows_lie_within_the_resized_image(
        width in 1u32..5000, height in 1u32..5000, size in 1u32..500, margin in 0u32..100,
    ) {
        let crop = Crop::Center { resize_short: size + margin };
        let view = draw(KEY, &spec(size, crop), width, height);
        prop_assert!(view.window.0 + size <= view.resized.0);
        prop_assert!(view.window.1 + size <= view.resized.1);
    }
}
