//! Headers that are made by hand, of every kind and damaged.

use proptest::prelude::*;

use super::*;

/// What a header says.
#[derive(Debug, Clone)]
struct Made {
    frame: u8,
    bits: u8,
    width: u16,
    height: u16,
    /// Name and factors of each.
    components: Vec<(u8, u8, u8)>,
    num_in_scan: u8,
    before: Vec<(u8, Vec<u8>)>,
}

impl Made {
    fn new(factors: &[(u8, u8)]) -> Self {
        Self {
            frame: 0xc0,
            bits: 8,
            width: 75,
            height: 53,
            components: (1..).zip(factors).map(|(id, &(h, v))| (id, h, v)).collect(),
            num_in_scan: factors.len() as u8,
            before: Vec::new(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut file = vec![0xff, 0xd8];
        let mut push = |marker: u8, body: &[u8]| {
            file.extend([0xff, marker]);
            file.extend((body.len() as u16 + 2).to_be_bytes());
            file.extend(body);
        };
        self.before
            .iter()
            .for_each(|(marker, body)| push(*marker, body));
        let mut frame = vec![self.bits];
        frame.extend(self.height.to_be_bytes());
        frame.extend(self.width.to_be_bytes());
        frame.push(self.components.len() as u8);
        self.components
            .iter()
            .for_each(|(id, h, v)| frame.extend([*id, h << 4 | v, 0]));
        push(self.frame, &frame);
        let mut scan = vec![self.num_in_scan];
        (0..self.num_in_scan).for_each(|nth| scan.extend([nth + 1, 0]));
        push(0xda, &[&scan[..], &[0, 63, 0]].concat());
        file.extend([0x12, 0x34, 0xff, 0xd9]);
        file
    }

    fn read(&self) -> Result<Coded, Refusal> {
        Coded::read(&self.bytes())
    }
}

const YUV420: [(u8, u8); 3] = [(2, 2), (1, 1), (1, 1)];

fn jfif() -> (u8, Vec<u8>) {
    (0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0".to_vec())
}

fn adobe(transform: u8) -> (u8, Vec<u8>) {
    (
        0xee,
        [b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat(),
    )
}

#[test]
fn planes_are_as_large_as_the_sampling_says() {
    let picture = Made::new(&YUV420).read().unwrap().picture;
    assert_eq!(
        (picture.num_components, picture.across, picture.down),
        (3, 2, 2)
    );
    assert_eq!(
        [0, 1, 2].map(|c| picture.plane(c)),
        [(75, 53), (38, 27), (38, 27)]
    );
    // 80 x 64 samples and twice 40 x 32, of two bytes.
    assert_eq!(picture.num_coefficient_bytes(), 2 * (80 * 64 + 2 * 40 * 32));
    let grey = Made::new(&[(4, 2)]).read().unwrap().picture;
    assert_eq!((grey.num_components, grey.plane(0)), (1, (75, 53)));
    assert_eq!(grey.num_coefficient_bytes(), 2 * 80 * 56);
}

#[test]
fn engines_get_baseline_of_one_scan_and_of_samplings_that_they_know() {
    let is_for_engines = |made: &Made| made.read().map(|coded| coded.is_for_engines);
    let of = |chroma: (u8, u8)| Made::new(&[chroma, (1, 1), (1, 1)]);
    for shared in [(1, 1), (2, 1), (2, 2), (1, 2)] {
        assert_eq!(is_for_engines(&of(shared)), Ok(true), "{shared:?}");
    }
    for shared in [(4, 1), (4, 2), (2, 4)] {
        assert_eq!(is_for_engines(&of(shared)), Ok(false), "{shared:?}");
    }
    for (frame, num_in_scan, expected) in [
        (0xc0, 3, true),
        (0xc0, 1, false),
        (0xc1, 3, false),
        (0xc2, 3, false),
    ] {
        let made = Made {
            frame,
            num_in_scan,
            ..Made::new(&YUV420)
        };
        assert_eq!(is_for_engines(&made), Ok(expected));
    }
}

#[test]
fn what_nvjpeg_does_not_decode_is_refused_with_its_reason() {
    let yuv = || Made::new(&YUV420);
    let two_names = Made {
        components: vec![(1, 1, 1), (1, 1, 1), (2, 1, 1)],
        ..yuv()
    };
    let cases = [
        (
            Made {
                frame: 0xc3,
                ..yuv()
            },
            Refusal::Coding("lossless"),
        ),
        (
            Made {
                frame: 0xc9,
                ..yuv()
            },
            Refusal::Coding("arithmetic"),
        ),
        (
            Made {
                frame: 0xca,
                ..yuv()
            },
            Refusal::Coding("arithmetic"),
        ),
        (
            Made {
                frame: 0xc5,
                ..yuv()
            },
            Refusal::Coding("hierarchical"),
        ),
        (Made { bits: 12, ..yuv() }, Refusal::Bits(12)),
        (Made::new(&[(1, 1); 4]), Refusal::Components(4)),
        (Made::new(&[(1, 1); 2]), Refusal::Components(2)),
        (Made::new(&[(3, 2), (1, 1), (1, 1)]), Refusal::Sampling),
        (Made::new(&[(1, 1), (2, 1), (1, 1)]), Refusal::Sampling),
        (Made::new(&[(2, 2), (1, 1), (2, 1)]), Refusal::Sampling),
        // 4:2:0 in units of 24 blocks.
        (Made::new(&[(4, 4), (2, 2), (2, 2)]), Refusal::Sampling),
        (
            Made { height: 0, ..yuv() },
            Refusal::Damaged("its width or height is zero"),
        ),
        (
            Made::new(&[(0, 1), (1, 1), (1, 1)]),
            Refusal::Damaged("a sampling factor is not 1 to 4"),
        ),
        (
            two_names,
            Refusal::Damaged("two components have the same name"),
        ),
    ];
    for (made, refusal) in cases {
        assert_eq!(made.read(), Err(refusal), "{made:?}");
    }
}

#[test]
fn colours_are_told_as_libjpeg_tells_them() {
    let rgb = |before: Vec<(u8, Vec<u8>)>, names: &[u8; 3]| {
        let components = names.map(|name| (name, 1, 1)).to_vec();
        let made = Made {
            components,
            before,
            ..Made::new(&YUV420)
        };
        made.read() == Err(Refusal::Rgb)
    };
    assert!(rgb(vec![], b"RGB"));
    assert!(rgb(vec![adobe(0)], b"\x01\x02\x03"));
    assert!(!rgb(vec![adobe(1)], b"RGB"));
    assert!(!rgb(vec![jfif()], b"RGB"));
    assert!(!rgb(vec![jfif(), adobe(0)], b"\x01\x02\x03"));
    assert!(!rgb(vec![], b"\x00\x01\x02"));
}

#[test]
fn a_file_must_end_with_its_end_marker_and_may_have_zeros_behind_it() {
    let whole = Made::new(&YUV420).bytes();
    assert!(Picture::read(&[&whole[..], &[0; 9]].concat()).is_ok());
    for file in [&whole[..whole.len() - 1], &[&whole[..], &[7]].concat()] {
        assert_eq!(Picture::read(file), Err(Refusal::Unended));
    }
    let scans = |num: usize| [&whole[..], &[0xff, 0xda].repeat(num), &[0xff, 0xd9]].concat();
    let progressive = |mut file: Vec<u8>| {
        let frame = file
            .windows(2)
            .position(|pair| pair == [0xff, 0xc0])
            .unwrap();
        file[frame + 1] = 0xc2;
        file
    };
    assert!(Picture::read(&progressive(scans(MOST_SCANS - 1))).is_ok());
    assert_eq!(
        Picture::read(&progressive(scans(MOST_SCANS))),
        Err(Refusal::Scans)
    );
    assert!(Picture::read(&scans(MOST_SCANS)).is_ok());
}

#[test]
fn every_cut_of_a_header_is_refused() {
    let whole = Made {
        before: vec![jfif(), adobe(1)],
        ..Made::new(&YUV420)
    }
    .bytes();
    for len in 0..whole.len() - 1 {
        let refusal = Picture::read(&whole[..len]).unwrap_err();
        let is_expected = matches!(
            refusal,
            Refusal::NotJpeg | Refusal::Damaged(_) | Refusal::Unended
        );
        assert!(is_expected, "{len}: {refusal}");
    }
}

fn made() -> impl Strategy<Value = Made> {
    let factors =
        prop::sample::select(vec![(1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (4, 2), (2, 4)]);
    let before = prop::collection::vec(
        (0xe1..=0xedu8, prop::collection::vec(any::<u8>(), 0..60)),
        0..4,
    );
    (
        1..=u16::MAX,
        1..=u16::MAX,
        factors,
        0xc0..=0xc2u8,
        1..=3u8,
        any::<bool>(),
        before,
    )
        .prop_map(
            |(width, height, luma, frame, num_in_scan, is_grey, before)| {
                let made = if is_grey {
                    Made::new(&[luma])
                } else {
                    Made::new(&[luma, (1, 1), (1, 1)])
                };
                let num_in_scan = if is_grey { 1 } else { num_in_scan };
                Made {
                    width,
                    height,
                    frame,
                    num_in_scan,
                    before,
                    ..made
                }
            },
        )
}

/// What holds of every picture.
fn check(picture: &Picture) -> Result<(), TestCaseError> {
    prop_assert!(matches!(picture.num_components, 1 | 3));
    prop_assert!(SAMPLINGS.contains(&(picture.across, picture.down)));
    prop_assert!((1..=65535).contains(&picture.width) && (1..=65535).contains(&picture.height));
    for component in 0..picture.num_components.into() {
        let (width, height) = picture.plane(component);
        prop_assert!(
            (1..=picture.width).contains(&width) && (1..=picture.height).contains(&height)
        );
    }
    let samples = picture.width as usize * picture.height as usize;
    prop_assert!(picture.num_coefficient_bytes() >= 2 * samples);
    Ok(())
}

proptest! {
    #[test]
    fn what_a_header_says_is_read_whatever_comes_before_it(made in made(), stray in prop::collection::vec(0..0xffu8, 0..9)) {
        let mut bytes = made.bytes();
        // Fill bytes belong to a marker, others are passed over.
        bytes.splice(2..2, [&[0xff][..], &[0xff, 0xe1, 0, 2], &stray].concat());
        let coded = Coded::read(&bytes).unwrap();
        check(&coded.picture)?;
        let picture = coded.picture;
        prop_assert_eq!((picture.width, picture.height), (made.width.into(), made.height.into()));
        prop_assert_eq!(usize::from(picture.num_components), made.components.len());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Picture::read(&bytes).is_err());
        let _ = Picture::read(&[&b"\xff\xd8\xff"[..], &bytes, b"\xff\xd9"].concat());
    }

    #[test]
    fn a_mutated_header_gives_a_picture_that_can_be_or_a_refusal(
        made in made(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = made.bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(picture) = Picture::read(&bytes) {
            check(&picture)?;
        }
    }
}
