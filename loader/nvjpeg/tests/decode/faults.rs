//! Every call of every entry point fails once: the right images have errors, and the next batch is whole.

use nvjpeg::{Decoder, Error, Route};
use turbojpeg::Subsamp;

use crate::files::{failing_engines, jpeg, progressive};
use crate::harness::{OPTIONS, Standin, Work, decode, decode_in_parts};

/// Calls that make the decoder; a failure is the decoder's.
const AT_THE_START: [&str; 8] = [
    "nvjpegCreateExV2",
    "nvjpegGetHardwareDecoderInfo",
    "nvjpegJpegStateCreate",
    "nvjpegJpegStreamCreate",
    "nvjpegBufferDeviceCreateV2",
    "nvjpegDecodeParamsCreate",
    "nvjpegDecodeParamsSetOutputFormat",
    "nvjpegDecoderCreate",
];

/// Calls for a batch on the engines: its images go by the hybrid back end.
const OF_THE_ENGINES: [&str; 4] = [
    "nvjpegDecodeBatchedInitialize",
    "nvjpegDecodeBatchedSupported",
    "nvjpegJpegStreamParseHeader",
    "nvjpegDecodeBatched",
];

/// Calls that ready a batch of the hybrid back end: all its images fail.
const OF_A_HYBRID_BATCH: [&str; 6] = [
    "nvjpegBufferDeviceResize",
    "nvjpegDecoderStateCreate",
    "nvjpegBufferPinnedCreateV2",
    "nvjpegStateAttachPinnedBuffer",
    "nvjpegStateAttachDeviceBuffer",
    "nvjpegJpegStreamCreate",
];

/// Calls for one image of the hybrid back end: it alone fails.
const OF_A_HYBRID_IMAGE: [&str; 6] = [
    "nvjpegJpegStreamParse",
    "nvjpegDecoderJpegSupported",
    "nvjpegBufferPinnedResize",
    "nvjpegDecodeJpegHost",
    "nvjpegDecodeJpegTransferToDevice",
    "nvjpegDecodeJpegDevice",
];

/// Two images for the engines, two for the hybrid back end.
fn mixed(seed: u32) -> Vec<Work> {
    let file = |nth: u32| {
        let file = jpeg(40, 30 + seed, Subsamp::Sub2x2, seed * 10 + nth);
        Work::new(if nth.is_multiple_of(2) {
            file
        } else {
            progressive(&file)
        })
    };
    (0..4).map(file).collect()
}

fn is_for_hybrid(nth: usize) -> bool {
    nth % 2 == 1
}

/// Those that failed; the others have their pixels.
fn failed(works: &[Work], answers: &[Result<Route, Error>], name: &str) -> Vec<usize> {
    let mut failed = Vec::new();
    for (nth, answer) in answers.iter().enumerate() {
        match answer {
            Ok(_) => works[nth].assert_decoded(name),
            Err(Error::Failed(failure)) => {
                assert_eq!(failure.function, name);
                failed.push(nth);
            }
            Err(Error::Refused(refusal)) => panic!("{name}: {refusal}"),
        }
    }
    failed
}

fn assert_next_is_whole(decoder: &mut Decoder, name: &str) {
    for seed in 1..3 {
        let works = mixed(seed);
        let answers = decode(decoder, &works);
        assert!(
            failed(&works, &answers, name).is_empty(),
            "{name}: {answers:?}"
        );
    }
}

#[test]
fn a_call_that_fails_at_the_start_is_the_decoders_failure_and_another_can_be_made() {
    let standin = Standin::new();
    for name in AT_THE_START {
        standin.fail(&format!("{name}:1"));
        let failure = standin.decoder(OPTIONS).unwrap_err();
        assert_eq!(failure.function, name);
        assert_eq!(standin.num_live_handles(), 0, "{name}");
        assert_next_is_whole(&mut standin.decoder(OPTIONS).unwrap(), name);
    }
}

#[test]
fn a_call_of_the_engines_that_fails_sends_their_images_the_other_way() {
    let standin = Standin::new();
    for name in OF_THE_ENGINES {
        let mut decoder = standin.decoder(OPTIONS).unwrap();
        standin.fail(&format!("{name}:1"));
        let works = mixed(0);
        let answers = decode(&mut decoder, &works);
        assert!(
            failed(&works, &answers, name).is_empty(),
            "{name}: {answers:?}"
        );
        let hybrid = answers
            .iter()
            .filter(|answer| **answer == Ok(Route::Hybrid));
        assert!(hybrid.count() > 2, "{name}: {answers:?}");
        assert_next_is_whole(&mut decoder, name);
    }
}

#[test]
fn a_call_for_a_hybrid_batch_that_fails_costs_the_images_of_that_way() {
    let standin = Standin::new();
    for name in OF_A_HYBRID_BATCH {
        let mut decoder = standin.decoder(OPTIONS).unwrap();
        standin.fail(&format!("{name}:1"));
        let works = mixed(0);
        let answers = decode(&mut decoder, &works);
        assert_eq!(failed(&works, &answers, name), [1, 3], "{name}");
        assert_next_is_whole(&mut decoder, name);
    }
}

#[test]
fn a_call_for_a_hybrid_image_that_fails_costs_that_image_alone() {
    let standin = Standin::new();
    for name in OF_A_HYBRID_IMAGE {
        for nth in 1..=2 {
            let mut decoder = standin.decoder(OPTIONS).unwrap();
            standin.fail(&format!("{name}:{nth}"));
            let works = mixed(0);
            let answers = decode(&mut decoder, &works);
            let expected = (0..4).filter(|at| is_for_hybrid(*at)).nth(nth - 1).unwrap();
            assert_eq!(failed(&works, &answers, name), [expected], "{name}");
            assert_next_is_whole(&mut decoder, name);
        }
    }
}

#[test]
fn a_card_that_has_no_memory_is_told_from_an_image_that_is_bad() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    for (status, of_the_image, out_of_memory) in
        [(3, true, false), (5, false, true), (6, false, false)]
    {
        standin.fail(&format!("nvjpegDecodeJpegHost:1:{status}"));
        let works = [Work::new(progressive(&jpeg(20, 20, Subsamp::None, 1)))];
        let Err(error) = decode(&mut decoder, &works)[0] else {
            panic!("status {status}")
        };
        assert_eq!(error.is_of_the_image(), of_the_image);
        let Error::Failed(failure) = error else {
            panic!("{error}")
        };
        assert_eq!(failure.is_out_of_memory(), out_of_memory);
    }
}

#[test]
fn a_handle_that_cannot_be_given_back_harms_nobody() {
    let standin = Standin::new();
    for name in ["nvjpegJpegStateDestroy", "nvjpegDecoderDestroy"] {
        let mut decoder = standin.decoder(OPTIONS).unwrap();
        decode(&mut decoder, &mixed(0));
        standin.fail(&format!("{name}:1"));
        drop(decoder);
        assert_next_is_whole(&mut standin.decoder(OPTIONS).unwrap(), name);
    }
    assert_eq!(standin.num_live_handles(), 2);
}

#[test]
fn engines_that_fail_from_some_call_on_leave_the_hybrid_back_end() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    standin.fail("nvjpegDecodeBatched:2+:5");
    for (seed, engines_work) in [(0, true), (1, false), (2, false)] {
        let works = mixed(seed);
        let answers = decode(&mut decoder, &works);
        assert!(failed(&works, &answers, "").is_empty(), "{answers:?}");
        let by_engines = answers.contains(&Ok(Route::Hardware));
        assert_eq!(by_engines, engines_work);
        let failure = decoder.take_engine_failure();
        assert_eq!(
            failure.map(|failure| failure.is_out_of_memory()),
            (!engines_work).then_some(true)
        );
    }
}

#[test]
fn a_file_that_the_engines_fail_at_goes_the_other_way_alone_wherever_it_is() {
    let standin = Standin::new();
    let file = |seed| jpeg(40, 30, Subsamp::Sub2x2, seed);
    for num in [1, 2, 7, 16] {
        for guilty in (0..num).step_by(3) {
            let mut decoder = standin.decoder(OPTIONS).unwrap();
            let mut works: Vec<Work> = (0..num).map(|seed| Work::new(file(seed))).collect();
            works[guilty as usize] = Work::new(failing_engines(&file(guilty)));
            for streams in [1, 3] {
                let answers = decode_in_parts(&mut decoder, &works, streams);
                let by_hybrid = |nth: &usize| answers[*nth] == Ok(Route::Hybrid);
                let hybrid: Vec<_> = (0..works.len()).filter(by_hybrid).collect();
                assert_eq!(hybrid, [guilty as usize], "{answers:?}");
                assert!(failed(&works, &answers, "").is_empty());
                assert_eq!(decoder.take_engine_failure(), None);
            }
        }
    }
    // Several in a batch, and all of it.
    for guilty in [&[3, 17, 18, 60][..], &(0..64).collect::<Vec<_>>()] {
        let mut decoder = standin.decoder(OPTIONS).unwrap();
        let work = |nth: u32| match guilty.contains(&nth) {
            true => Work::new(failing_engines(&file(nth))),
            false => Work::new(file(nth)),
        };
        let works: Vec<Work> = (0..64).map(work).collect();
        let answers = decode_in_parts(&mut decoder, &works, 3);
        let is_hybrid = |nth: &u32| answers[*nth as usize] == Ok(Route::Hybrid);
        assert_eq!((0..64).filter(is_hybrid).collect::<Vec<_>>(), guilty);
        assert!(failed(&works, &answers, "").is_empty());
        let fails = decoder.take_engine_failure().is_some();
        assert_eq!(fails, guilty.len() == 64, "the engines are to blame, too");
    }
}

#[test]
fn a_hint_to_take_memory_that_fails_costs_nothing() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    standin.fail("nvjpegDecodeBatchedPreAllocate:1+:2");
    let works = mixed(0);
    let answers = decode(&mut decoder, &works);
    assert!(failed(&works, &answers, "").is_empty());
    assert!(answers.contains(&Ok(Route::Hardware)), "{answers:?}");
    assert_eq!(decoder.take_engine_failure(), None);
}
