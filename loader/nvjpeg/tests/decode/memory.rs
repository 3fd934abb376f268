//! Memory that the caller does not give: what then fails, what is given back, and that the next batch is whole.

use nvjpeg::{Error, Memory, Refusal, Route};
use turbojpeg::Subsamp;

use crate::files::{jpeg, progressive};
use crate::harness::{OPTIONS, Standin, Work, decode, decode_hybrid, decode_in_parts};

/// Images for the engines, then as many for the hybrid back end.
fn images(width: u32, num_each: u32) -> Vec<Work> {
    let file = |nth| jpeg(width, 40, Subsamp::Sub2x2, nth);
    let of_engines = (0..num_each).map(|nth| Work::new(file(nth)));
    let of_hybrid = (0..num_each).map(|nth| Work::new(progressive(&file(nth))));
    of_engines.chain(of_hybrid).collect()
}

/// Those that failed, each for want of memory; the others have their pixels.
fn num_starved(works: &[Work], answers: &[Result<Route, Error>]) -> usize {
    for (work, answer) in works.iter().zip(answers) {
        match answer {
            Ok(_) => work.assert_decoded("an image that had memory"),
            Err(Error::Failed(failure)) => assert!(failure.is_out_of_memory(), "{failure}"),
            Err(Error::Refused(refusal)) => panic!("{refusal}"),
        }
    }
    answers.iter().filter(|answer| answer.is_err()).count()
}

#[test]
fn wherever_memory_is_refused_the_next_batch_is_whole() {
    let standin = Standin::new();
    let works = images(100, 2);
    let run = |refused: usize| {
        let before = standin.memory.num_taken();
        standin.memory.refuse(refused);
        let mut decoder = standin
            .decoder(OPTIONS)
            .expect("a decoder that fails at a batch");
        let answers = decode(&mut decoder, &works);
        let num_failed = num_starved(&works, &answers);
        let num_taken = standin.memory.num_taken() - before;
        decoder.take_engine_failure();
        for width in [100, 200] {
            let works = images(width, 2);
            let answers = decode(&mut decoder, &works);
            assert_eq!(num_starved(&works, &answers), 0, "after the {refused}th");
            assert_eq!(decoder.take_engine_failure(), None);
        }
        drop(decoder);
        assert_eq!(standin.memory.num_bytes_in_all(), 0);
        (num_taken, num_failed)
    };
    let (num_taken, num_failed) = run(usize::MAX >> 1);
    assert_eq!(
        (num_taken, num_failed),
        (4, 0),
        "one of the engines, three of the others"
    );
    let failed: Vec<usize> = (1..=num_taken).map(|nth| run(nth).1).collect();
    assert_eq!(
        failed,
        [0, 2, 1, 1],
        "images, where the nth taking is refused"
    );
}

#[test]
fn what_large_images_took_is_given_back_where_others_need_it() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    // Enough for one of the large ones, not for the desks of all.
    standin.memory.bound(3 << 20);
    let large = images(2000, 4);
    let answers = decode_hybrid(&mut decoder, &large);
    assert!(
        (1..8).contains(&num_starved(&large, &answers)),
        "{answers:?}"
    );
    let held = standin.memory.num_bytes(Memory::Pinned);
    let small = images(30, 4);
    let answers = decode(&mut decoder, &small);
    assert_eq!(num_starved(&small, &answers), 0);
    assert!(standin.memory.num_bytes(Memory::Pinned) < held);
}

#[test]
fn where_one_state_finds_too_little_memory_all_give_theirs_back() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    // Each takes 96,000 bytes for its part.
    standin.memory.bound(200_000);
    let answers = decode_in_parts(&mut decoder, &images(400, 6)[..6], 3);
    assert_eq!(
        answers
            .iter()
            .filter(|it| **it == Ok(Route::Hardware))
            .count(),
        4
    );
    assert!(decoder.take_engine_failure().is_some());
    assert!(standin.memory.num_bytes(Memory::Device) > 150_000);
    let small = images(30, 3);
    let answers = decode_in_parts(&mut decoder, &small[..3], 3);
    assert_eq!(num_starved(&small[..3], &answers), 0);
    assert_eq!(decoder.take_engine_failure(), None);
    assert!(standin.memory.num_bytes(Memory::Device) < 50_000);
}

#[test]
fn an_image_that_takes_more_than_there_ever_is_is_refused_and_the_others_are_decoded() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    standin.memory.bound(1 << 20);
    let mut works = images(60, 2);
    works.push(Work::new(progressive(&jpeg(900, 900, Subsamp::None, 0))));
    let mut answers = decode(&mut decoder, &works);
    assert_eq!(answers.pop(), Some(Err(Error::Refused(Refusal::TooLarge))));
    assert_eq!(num_starved(&works[..4], &answers), 0);
}
