//! Pickles as PyTorch and others write them, and as nobody should.

use proptest::prelude::*;
use tch::Kind;

use super::machine::read;
use super::object::{Object, Storage};

/// `{"a": tensor of 2 x 3, "step": 7}`, by hand.
fn sound() -> Vec<u8> {
    let parts: [&[u8]; 12] = [
        b"\x80\x02}q\x00(X\x01\x00\x00\x00a",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\n",
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ",
        b"K\x00",
        b"K\x02K\x03\x86",
        b"K\x03K\x01\x86",
        b"\x89ccollections\nOrderedDict\n)R",
        b"tR",
        b"X\x04\x00\x00\x00step",
        b"M\x07\x00",
        b"u.",
    ];
    parts.concat()
}

fn error(pickle: &[u8]) -> String {
    read(pickle).unwrap_err()
}

#[test]
fn a_dictionary_of_tensors_is_read() {
    let pickle = [&sound()[..], b"and more"].concat();
    let found = read(&pickle).unwrap();
    assert_eq!(found.num_bytes, sound().len());
    let Object::Dict(pairs) = &found.heap[found.root] else {
        panic!("{found:?}");
    };
    assert_eq!(found.heap[pairs[0].0], Object::Text("a".to_owned()));
    let Object::Tensor(tensor) = &found.heap[pairs[0].1] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (&tensor.size[..], &tensor.stride[..]),
        (&[2, 3][..], &[3, 1][..])
    );
    let storage = Storage {
        key: "0".to_owned(),
        kind: Kind::Float,
        num_values: 6,
    };
    assert_eq!(tensor.storage, storage);
    assert_eq!(found.heap[pairs[1].1], Object::Int(7));
}

#[test]
fn what_would_run_something_is_refused_by_name() {
    for (pickle, name) in [
        (&b"cos\nsystem\n(X\x02\x00\x00\x00lstR."[..], "os.system"),
        (b"cposix\nsystem\n.", "posix.system"),
        (
            b"c__builtin__\neval\n(X\x01\x00\x00\x001tR.",
            "__builtin__.eval",
        ),
        (b"\x8c\x08builtins\x8c\x04exec\x93.", "builtins.exec"),
        (
            b"\x8c\x0asubprocess\x8c\x05Popen\x93)\x81.",
            "subprocess.Popen",
        ),
        (
            b"cimportlib._bootstrap\n_gcd_import\n.",
            "importlib._bootstrap._gcd_import",
        ),
    ] {
        let error = error(pickle);
        assert!(
            error.contains(name) && error.contains("nothing was run"),
            "{error}"
        );
    }
}

#[test]
fn other_classes_are_known_by_name_alone_whatever_is_done_to_them() {
    let pickle =
        b"\x80\x02cyacs.config\nCfgNode\n)\x81(X\x01\x00\x00\x00AK\x01u}X\x01\x00\x00\x00sK\x02sb.";
    let found = read(pickle).unwrap();
    let class = Object::Foreign("yacs.config.CfgNode".to_owned());
    assert_eq!(found.heap[found.root], class);
}

#[test]
fn an_object_that_contains_itself_is_nothing_special() {
    let found = read(b"]q\x00h\x00a.").unwrap();
    assert_eq!(found.heap[found.root], Object::List(vec![found.root]));
}

#[test]
fn every_way_to_be_broken_is_told() {
    for (pickle, what) in [
        (&b""[..], "ends too early"),
        (b"X\xff\xff\xff\xff.", "ends too early"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "ends too early"),
        (b".", "takes more than it put down"),
        (b"(.", "takes more than it put down"),
        (b"t.", "goes back to no mark"),
        (b"h\x05.", "recalls what it never kept"),
        (b"}(K\x01u.", "an item without a value"),
        (b"K\x01K\x02K\x03s.", "no dictionary"),
        (b"K\x01K\x02a.", "no list"),
        (b"K\x01)R.", "no function"),
        (b"ccollections\nOrderedDict\nK\x01R.", "no arguments"),
        (b"K\x01Q.", "leads outside"),
        (b"\xff.", "an instruction that PyTorch does not use (0xff)"),
        (
            b"ios\nsystem\n.",
            "an instruction that PyTorch does not use",
        ),
    ] {
        let error = error(pickle);
        assert!(error.contains(what), "{pickle:?}: {error}");
    }
}

#[test]
fn a_cut_pickle_is_an_error_at_every_byte() {
    let sound = sound();
    for len in 0..sound.len() {
        read(&sound[..len]).unwrap_err();
    }
}

#[test]
fn a_pickle_without_end_is_given_up() {
    let nothing = vec![b'N'; 5_000_000];
    assert!(error(&nothing).contains("instructions"));
    let name = vec![b'x'; 1000];
    let long = [&b"c"[..], &name, b"\n", &name, b"\n."].concat();
    assert!(error(&long).contains("name without end"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_sound_pickle_with_other_bytes_in_it_is_read_or_refused(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = sound();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read(&bytes);
    }
}
