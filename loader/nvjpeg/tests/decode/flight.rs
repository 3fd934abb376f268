//! What is under way while the host goes on, and what is kept from batch to batch.

use nvjpeg::{Decoder, Error, Memory, Options, Route};
use turbojpeg::Subsamp;

use crate::files::{SAMPLINGS, jpeg, progressive};
use crate::harness::{OPTIONS, Standin, Work, decode, decode_hybrid, decode_on};

/// Files for both ways, each batch others.
fn mixed(seed: u32) -> Vec<Work> {
    let file = |(nth, subsamp): (u32, Subsamp)| {
        let file = jpeg(30 + seed, 50 - nth, subsamp, seed * 10 + nth);
        Work::new(if nth.is_multiple_of(2) {
            file
        } else {
            progressive(&file)
        })
    };
    (0..).zip(SAMPLINGS).map(file).collect()
}

fn assert_decoded(works: &[Work], what: &str) {
    works.iter().for_each(|work| work.assert_decoded(what));
}

#[test]
fn calls_that_are_in_flight_together_do_not_disturb_each_other() {
    let standin = Standin::new();
    let options = Options {
        num_in_flight: 3,
        ..OPTIONS
    };
    let mut decoder = standin.decoder(options).unwrap();
    for round in 0..3 {
        standin.hold();
        let batches = [1, 2, 3].map(|nth| mixed(round * 3 + nth));
        for (number, works) in (1..).zip(&batches) {
            let answers = decode_on(&mut decoder, works, number);
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        }
        let before = batches.iter().flatten().flat_map(|work| work.plane(0));
        assert!(
            before.into_iter().all(|byte| byte == 0xa5),
            "the stand-in did not wait"
        );
        standin.release();
        batches
            .iter()
            .for_each(|works| assert_decoded(works, "held work"));
    }
}

#[test]
fn more_calls_in_flight_than_the_decoder_is_made_for_are_seen_by_the_stand_in() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    standin.hold();
    let works = [1, 2].map(|seed| [Work::new(progressive(&jpeg(40, 40, Subsamp::None, seed)))]);
    for works in &works {
        assert_eq!(decode(&mut decoder, works), [Ok(Route::Hybrid)]);
    }
    standin.release();
    // The second image took the desk of the first before its turn had come.
    assert_ne!(works[0][0].rgb(), works[0][0].expected());
    // A state of the engines that is used too early fails, and the hybrid back end takes over.
    standin.hold();
    let works = [1, 2].map(|seed| [Work::new(jpeg(40, 40, Subsamp::None, seed))]);
    assert_eq!(decode(&mut decoder, &works[0]), [Ok(Route::Hardware)]);
    assert_eq!(decode(&mut decoder, &works[1]), [Ok(Route::Hybrid)]);
    assert!(decoder.take_engine_failure().is_some());
    standin.release();
}

#[test]
fn a_file_that_changes_before_its_work_is_done_is_seen_by_the_stand_in() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    let file = jpeg(40, 40, Subsamp::None, 1);
    for work in [Work::new(file.clone()), Work::new(progressive(&file))] {
        standin.hold();
        let mut works = [work];
        assert!(decode(&mut decoder, &works)[0].is_ok());
        let expected = works[0].expected();
        works[0].jpeg.fill(0);
        standin.release();
        assert_ne!(works[0].rgb(), expected);
    }
}

/// Calls that take memory or make handles.
const COSTLY: [&str; 10] = [
    "nvjpegJpegStateCreate",
    "nvjpegDecoderStateCreate",
    "nvjpegJpegStreamCreate",
    "nvjpegDecodeParamsCreate",
    "nvjpegBufferPinnedCreateV2",
    "nvjpegBufferDeviceCreateV2",
    "nvjpegBufferPinnedResize",
    "nvjpegBufferDeviceResize",
    "nvjpegDecodeBatchedPreAllocate",
    "nvjpegDecodeBatchedInitialize",
];

#[test]
fn once_the_largest_was_seen_nothing_is_made_and_no_memory_taken_for_an_image() {
    let standin = Standin::new();
    let options = Options {
        num_in_flight: 2,
        ..OPTIONS
    };
    let mut decoder = standin.decoder(options).unwrap();
    let run = |decoder: &mut Decoder| {
        for seed in 0..4 {
            let works = mixed(seed);
            assert!(decode(decoder, &works).iter().all(Result::is_ok));
            assert_decoded(&works, "a batch");
        }
    };
    run(&mut decoder);
    standin.fail("");
    let num_taken = standin.memory.num_taken();
    run(&mut decoder);
    assert_eq!(standin.memory.num_taken(), num_taken);
    for name in COSTLY {
        assert_eq!(standin.num_calls(name), 0, "{name}");
    }
    assert_eq!(standin.num_calls("nvjpegDecodeBatched"), 4);
}

#[test]
fn larger_images_than_expected_are_decoded_and_memory_grows_to_powers_of_two() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    standin.fail("");
    for width in 65..=128 {
        let works = [Work::new(jpeg(width, 40, Subsamp::Sub2x2, width))];
        assert_eq!(decode(&mut decoder, &works), [Ok(Route::Hardware)]);
        works[0].assert_decoded("a larger image");
    }
    assert_eq!(standin.num_calls("nvjpegDecodeBatchedPreAllocate"), 1);
    for width in 65..=128 {
        let works = [Work::new(jpeg(width, 40, Subsamp::Sub2x2, width))];
        assert_eq!(decode_hybrid(&mut decoder, &works), [Ok(Route::Hybrid)]);
    }
    let resizes = ["nvjpegBufferPinnedResize", "nvjpegBufferDeviceResize"];
    assert_eq!(resizes.map(|name| standin.num_calls(name)), [1, 1]);
}

#[test]
fn every_handle_and_all_memory_is_given_back() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    let alone = standin.num_live_handles();
    let works = mixed(1);
    decode(&mut decoder, &works);
    assert!(standin.num_live_handles() > alone && alone > 0);
    for kind in [Memory::Device, Memory::Pinned] {
        assert!(standin.memory.num_bytes(kind) > 0, "{kind:?}");
    }
    drop(decoder);
    assert_eq!(standin.num_live_handles(), 0);
    assert_eq!(standin.memory.num_bytes_in_all(), 0);
}

#[test]
fn after_garbage_what_is_valid_is_decoded() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    let whole = jpeg(40, 40, Subsamp::None, 1);
    // Headers that only the library finds wrong.
    let frame = whole
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    let broken = [
        &whole[..frame],
        &b"\xff\xdb\0\x05\x07\0\0"[..],
        &whole[frame..],
    ]
    .concat();
    for file in [&whole, &progressive(&whole)] {
        let garbage = [
            &b"\xff\xd8\xff"[..],
            &whole[..100],
            &broken,
            b"",
            &[0xff; 300],
        ];
        let mut works: Vec<Work> = garbage.map(|file| Work::new(file.to_vec())).into();
        works.push(Work::new(file.clone()));
        let answers = decode(&mut decoder, &works);
        let (last, others) = answers.split_last().unwrap();
        assert!(last.is_ok(), "{last:?}");
        for answer in others {
            let of_the_image = answer.map_err(|error| error.is_of_the_image());
            assert_eq!(of_the_image, Err(true), "{answer:?}");
        }
        assert!(
            matches!(others[2], Err(Error::Failed(_))),
            "{:?}",
            others[2]
        );
        works[5].assert_decoded("beside garbage");
        let works = [Work::new(file.clone())];
        assert!(decode(&mut decoder, &works)[0].is_ok());
        works[0].assert_decoded("after garbage");
    }
}
