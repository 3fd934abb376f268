use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::*;

fn header(kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn add(tar: &mut Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = header(EntryType::Regular, content.len());
    tar.append_data(&mut header, name, content).expect("added");
}

fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    members
        .iter()
        .for_each(|(name, content)| add(&mut tar, name, content));
    tar.into_inner().expect("ended")
}

/// A header with a checksum, then the content, padded.
fn raw(kind: u8, name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = header(EntryType::new(kind), content.len());
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn ended(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 2 * BLOCK]].concat()
}

fn walk(tar: &[u8]) -> Result<Vec<Member<'_>>, Damage> {
    Members::new(tar).collect()
}

fn fault(tar: &[u8]) -> Fault {
    walk(tar).expect_err("a damaged tar").fault
}

fn names(tar: &[u8]) -> Vec<String> {
    let members = walk(tar).expect("a sound tar");
    members
        .iter()
        .map(|member| String::from_utf8(member.name.to_vec()).expect("UTF-8"))
        .collect()
}

#[test]
fn members_come_with_their_names_offsets_and_contents() {
    let long = format!("{}/{}.jpg", "d".repeat(300), "f".repeat(70_000));
    let tar = tar_of(&[("a/b.jpg", b"image"), (&long, &[7; 513]), ("c.cls", b"")]);
    let members = walk(&tar).expect("a sound tar");
    assert_eq!(names(&tar), ["a/b.jpg", &long, "c.cls"]);
    assert_eq!((members[0].header_offset, members[0].data_offset), (0, 512));
    assert_eq!(members[1].header_offset, 1024);
    assert_eq!(members[1].data, [7; 513]);
    for member in members {
        let content = &tar[member.data_offset as usize..];
        assert!(content.starts_with(member.data));
        assert_eq!(member.kind, MemberKind::Regular);
    }
}

#[test]
fn a_pax_header_gives_name_and_size_and_may_hold_line_ends() {
    let record = |key: &str, value: &str| {
        let body = format!(" {key}={value}\n");
        let length = (1..5)
            .map(|digits| body.len() + digits)
            .find(|length| length.to_string().len() + body.len() == *length)
            .expect("a length");
        format!("{length}{body}")
    };
    let long = format!("caf\u{e9}\n{}.jpg", "x".repeat(200));
    let pax = record("path", &long) + &record("mtime", "1.5") + &record("size", "3");
    let mut file = raw(b'0', b"short", b"abc");
    // The header states no size, the PAX header does.
    file[124..136].fill(b'0');
    let sum = checksum(&file[..BLOCK]);
    file[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let tar = ended(&[
        raw(b'x', b"pax", pax.as_bytes()),
        file,
        raw(b'0', b"next", b""),
    ]);
    assert_eq!(names(&tar), [&long, "next"]);
    assert_eq!(walk(&tar).expect("sound")[0].data, b"abc");
}

#[test]
fn folders_and_links_have_no_content_and_sparse_files_are_told_apart() {
    let mut folder = raw(b'5', b"dir", b"");
    folder[124..135].copy_from_slice(b"00000001000");
    let sum = checksum(&folder[..BLOCK]);
    folder[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let sparse = raw(b'x', b"pax", b"22 GNU.sparse.major=1\n");
    let tar = ended(&[
        folder,
        raw(b'2', b"link", b""),
        sparse,
        raw(b'0', b"holes", b"1\n"),
        raw(b'S', b"gnu", b""),
        raw(0, b"old/", b""),
        raw(b'0', b"file", b"x"),
    ]);
    let kinds: Vec<MemberKind> = walk(&tar)
        .expect("sound")
        .iter()
        .map(|member| member.kind)
        .collect();
    use MemberKind::{Folder, Regular, Sparse, Special};
    let link = Special("symbolic link");
    assert_eq!(kinds, [Folder, link, Sparse, Sparse, Folder, Regular]);
}

#[test]
fn a_tar_cut_anywhere_names_the_last_whole_member() {
    let tar = tar_of(&[("a.jpg", b"image"), ("b.jpg", &[1; 600])]);
    for length in 0..=4 * BLOCK {
        let damage = walk(&tar[..length]).expect_err("cut");
        let last_good = damage.last_good.map(|(name, _)| name);
        let expected = (length >= BLOCK + 5).then(|| "a.jpg".to_owned());
        assert_eq!(last_good, expected, "cut at {length}");
        assert!(damage.offset as usize <= length);
    }
    let whole_but_for_the_end = &tar[..5 * BLOCK];
    assert_eq!(fault(whole_but_for_the_end), Fault::NoEndMarker);
    assert_eq!(names(&tar[..6 * BLOCK]), ["a.jpg", "b.jpg"]);
}

#[test]
fn each_way_to_be_broken_is_told() {
    let mut flipped = tar_of(&[("a", b"1"), ("b", b"2")]);
    flipped[1024] ^= 1;
    assert_eq!(fault(&flipped), Fault::HeaderChecksum);
    assert_eq!(walk(&flipped).expect_err("damaged").offset, 1024);
    assert_eq!(fault(b"\x1f\x8b\x08\0"), Fault::Compressed("gzip"));
    assert_eq!(fault(b""), Fault::NoEndMarker);
    let name = raw(b'L', b"", b"name\0");
    assert_eq!(
        fault(&ended(&[name.clone(), name.clone()])),
        Fault::TwoExtensions
    );
    assert_eq!(fault(&ended(&[name])), Fault::MissingMember);
    for record in [
        "8 a=bc\n",
        "1 a=b\n",
        "x a=b\n",
        "6 abcd\n",
        "8 size=\n",
        "+6 a=b\n",
    ] {
        let tar = ended(&[raw(b'x', b"", record.as_bytes()), raw(b'0', b"a", b"")]);
        assert_eq!(fault(&tar), Fault::Pax, "{record}");
    }
    let global = raw(b'g', b"", b"9 path=x\n");
    assert_eq!(fault(&ended(&[global])), Fault::GlobalName);
}

#[test]
fn a_size_that_lies_allocates_nothing() {
    let mut huge = raw(b'L', b"", b"x");
    huge[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    let sum = checksum(&huge[..BLOCK]);
    huge[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(matches!(fault(&ended(&[huge])), Fault::CutShort { .. }));
}

/// A tar of three members, at 0, 1536 and 2560.
fn three() -> Vec<u8> {
    tar_of(&[("a.jpg", &[1; 700]), ("b.jpg", &[2; 10]), ("c.jpg", b"")])
}

/// The names of the members, and what is told of damage between them.
fn going_on(tar: &[u8]) -> Vec<String> {
    let told = |member: Result<Member<'_>, Damage>| match member {
        Ok(member) => String::from_utf8(member.name.into_owned()).expect("UTF-8"),
        Err(Damage {
            fault,
            offset,
            last_good,
        }) => {
            let last_good = last_good.map_or("none".to_owned(), |(name, _)| name);
            format!("{offset}: {fault}, after {last_good}")
        }
    };
    Members::going_on(tar).map(told).collect()
}

#[test]
fn the_walk_may_go_on_behind_damage() {
    let mut bytes = three();
    assert_eq!(going_on(&bytes), ["a.jpg", "b.jpg", "c.jpg"]);
    bytes[1536] ^= 1;
    let told = "1536: the checksum of a header differs, after a.jpg";
    assert_eq!(going_on(&bytes), ["a.jpg", told, "c.jpg"]);
    bytes[1536..2048].fill(0);
    let told = "1536: zeros stand where a header should be, after a.jpg";
    assert_eq!(going_on(&bytes), ["a.jpg", told, "c.jpg"]);
    bytes[0] ^= 1;
    let told = "0: the checksum of a header differs, after none";
    assert_eq!(going_on(&bytes), [told, "c.jpg"]);
    let cut = "1536: it is cut short: 2 of 10 bytes of a member are there, after a.jpg";
    assert_eq!(going_on(&three()[..2050]), ["a.jpg", cut]);
    let cut = "1536: it is cut short: it ends without the end marker, after a.jpg";
    assert_eq!(going_on(&three()[..1536]), ["a.jpg", cut]);
}

proptest! {
    #[test]
    fn going_on_over_any_bytes_ends(
        at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<prop::sample::Index>()
    ) {
        let mut bytes = three();
        let at = at.index(bytes.len());
        bytes[at] = value;
        let length = cut.index(bytes.len());
        prop_assert!(going_on(&bytes[..length]).len() < 20);
        prop_assert!(going_on(&bytes).len() < 20);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = walk(&bytes);
    }

    #[test]
    fn changed_bytes_under_a_right_checksum_do_not_make_it_panic(
        changes in prop::collection::vec((0..512usize, any::<u8>()), 0..6), kind in any::<u8>(),
        content in prop::collection::vec(any::<u8>(), 0..700)
    ) {
        let mut tar = ended(&[raw(kind, b"name", &content), raw(b'0', b"a", b"")]);
        changes.iter().for_each(|(at, byte)| tar[*at] = *byte);
        let sum = checksum(&tar[..BLOCK]);
        tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        for member in Members::new(&tar).flatten() {
            prop_assert!(tar[member.data_offset as usize..].starts_with(member.data));
        }
    }

    #[test]
    fn whatever_was_written_is_walked(
        members in prop::collection::vec(("[a-z]{1,300}", prop::collection::vec(any::<u8>(), 0..1_500)), 0..6)
    ) {
        let borrowed: Vec<(&str, &[u8])> =
            members.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        let tar = tar_of(&borrowed);
        let walked = walk(&tar).expect("a sound tar");
        let walked: Vec<(&str, &[u8])> = walked
            .iter()
            .map(|member| (std::str::from_utf8(&member.name).expect("UTF-8"), member.data))
            .collect();
        prop_assert_eq!(walked, borrowed);
    }
}
