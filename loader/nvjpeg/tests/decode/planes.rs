//! What is decoded, and by which way.

use std::path::Path;

use nvjpeg::{Counts, Error, Refusal, Route};
use turbojpeg::Subsamp;

use crate::files::{Factors, SAMPLINGS, arithmetic, cmyk, flat_blocks, jpeg, progressive};
use crate::harness::{OPTIONS, Standin, Work, decode, decode_hybrid};

#[test]
fn small_images_of_every_sampling_and_size_have_the_pixels_of_the_cpus_decoder() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    for subsamp in SAMPLINGS {
        let sizes = (1..20).flat_map(|width| (1..20).map(move |height| (width, height)));
        let files = sizes.map(|(width, height)| Work::new(jpeg(width, height, subsamp, 3)));
        let works: Vec<Work> = files.collect();
        let route = match subsamp {
            Subsamp::Sub4x1 => Route::Hybrid,
            _ => Route::Hardware,
        };
        for answer in decode(&mut decoder, &works) {
            assert_eq!(answer, Ok(route), "{subsamp:?}");
        }
        for work in &works {
            assert_eq!(
                Some(work.all_planes()),
                work.expected_planes(),
                "{subsamp:?}"
            );
            work.assert_decoded(&format!("{subsamp:?}"));
        }
    }
}

#[test]
fn what_the_engines_refuse_goes_by_the_hybrid_back_end_with_the_same_pixels() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    // 4:1:0 lying and standing, 4:4:0 and 4:4:4 written otherwise.
    let odd: [(Factors, bool, Route); 6] = [
        ([(4, 2), (1, 1)], true, Route::Hybrid),
        ([(2, 4), (1, 1)], true, Route::Hybrid),
        ([(2, 2), (2, 1)], true, Route::Hardware),
        ([(2, 1), (2, 1)], true, Route::Hardware),
        ([(1, 1), (1, 1)], false, Route::Hybrid),
        ([(2, 2), (1, 1)], false, Route::Hybrid),
    ];
    let mut works = Vec::new();
    let mut routes = Vec::new();
    for (width, height) in [(1, 1), (33, 17), (75, 53), (64, 64)] {
        for (factors, one_scan, route) in odd {
            works.push(Work::new(flat_blocks(width, height, factors, one_scan)));
            routes.push(Ok(route));
        }
        for subsamp in SAMPLINGS {
            works.push(Work::new(progressive(&jpeg(width, height, subsamp, 5))));
            routes.push(Ok(Route::Hybrid));
        }
    }
    assert_eq!(decode(&mut decoder, &works), routes);
    for (at, work) in works.iter().enumerate() {
        work.assert_decoded(&format!("file {at}"));
    }
    let hybrid = routes.iter().filter(|route| **route == Ok(Route::Hybrid));
    let hybrid = hybrid.count() as u64;
    let hardware = works.len() as u64 - hybrid;
    let counts = Counts {
        hardware,
        hybrid,
        ..Counts::default()
    };
    assert_eq!(decoder.counts(), counts);
}

#[test]
fn a_card_without_engines_and_a_caller_who_wants_none_get_the_hybrid_back_end() {
    let standin = Standin::new();
    let works = || [Work::new(jpeg(40, 30, Subsamp::Sub2x2, 1))];
    // The card says that it has none.
    standin.fail("nvjpegCreateExV2:1:7");
    let without = standin.decoder(OPTIONS).unwrap();
    standin.fail("");
    let mut unwanted = OPTIONS;
    unwanted.use_engines = false;
    for mut decoder in [without, standin.decoder(unwanted).unwrap()] {
        assert_eq!(decoder.num_engines(), 0);
        let works = works();
        assert_eq!(decode(&mut decoder, &works), [Ok(Route::Hybrid)]);
        works[0].assert_decoded("the hybrid back end");
    }
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    assert_eq!((decoder.num_engines(), decoder.cores_per_engine()), (2, 4));
    let works = works();
    assert_eq!(decode_hybrid(&mut decoder, &works), [Ok(Route::Hybrid)]);
    works[0].assert_decoded("the hybrid back end");
}

#[test]
fn what_nvjpeg_does_not_decode_is_refused_by_its_header_and_the_rest_of_the_batch_is_decoded() {
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    let whole = jpeg(40, 30, Subsamp::Sub2x2, 1);
    let frame = whole
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    let patched = |at: usize, value: u8| {
        let mut file = whole.clone();
        file[frame + at] = value;
        file
    };
    let refused: Vec<(Vec<u8>, Refusal)> = vec![
        (b"\x89PNG\r\n\x1a\n".to_vec(), Refusal::NotJpeg),
        (cmyk(20, 20), Refusal::Components(4)),
        (arithmetic(&whole), Refusal::Coding("arithmetic")),
        (patched(1, 0xc3), Refusal::Coding("lossless")),
        (patched(4, 12), Refusal::Bits(12)),
        (
            flat_blocks(30, 30, [(3, 2), (1, 1)], true),
            Refusal::Sampling,
        ),
        (whole[..whole.len() / 2].to_vec(), Refusal::Unended),
    ];
    let mut works = Vec::new();
    for (file, _) in &refused {
        works.push(Work::new(file.clone()));
        works.push(Work::new(whole.clone()));
    }
    let answers = decode(&mut decoder, &works);
    for (nth, (_, refusal)) in refused.iter().enumerate() {
        assert_eq!(answers[2 * nth], Err(Error::Refused(*refusal)));
        assert_eq!(answers[2 * nth + 1], Ok(Route::Hardware));
        works[2 * nth + 1].assert_decoded("a neighbour");
    }
    let num = refused.len() as u64;
    let counts = Counts {
        hardware: num,
        refused: num,
        ..Counts::default()
    };
    assert_eq!(decoder.counts(), counts);
}

/// Up to this many of the images below the folder that `SSLIGHT_DATA` names.
const NUM_REAL: usize = 200;

#[test]
fn real_images_have_the_pixels_of_the_cpus_decoder() {
    let Some(folder) = std::env::var_os("SSLIGHT_DATA") else {
        return eprintln!("SSLIGHT_DATA is not set: the generated images above have to do");
    };
    let standin = Standin::new();
    let mut decoder = standin.decoder(OPTIONS).unwrap();
    let mut files = Vec::new();
    read_files(Path::new(&folder), &mut files);
    for files in files.chunks(32) {
        let works: Vec<Work> = files.iter().cloned().map(Work::new).collect();
        for (answer, work) in decode(&mut decoder, &works).iter().zip(&works) {
            match answer {
                Ok(_) => work.assert_decoded("a real image"),
                Err(Error::Refused(_)) => {}
                Err(Error::Failed(failure)) => panic!("{failure}"),
            }
        }
    }
    eprintln!(
        "{} images of SSLIGHT_DATA: {:?}",
        files.len(),
        decoder.counts()
    );
    let Counts {
        hardware, hybrid, ..
    } = decoder.counts();
    assert!(hardware + hybrid > 0, "no image was decoded");
}

fn read_files(folder: &Path, files: &mut Vec<Vec<u8>>) {
    let mut paths: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_files(&path, files);
        } else if files.len() < NUM_REAL {
            files.push(std::fs::read(&path).unwrap());
        }
    }
}
