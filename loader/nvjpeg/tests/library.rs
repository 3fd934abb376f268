//! Where the library is sought, and what is said of one that cannot be used. One test alone, since it changes the environment.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};

use nvjpeg::{Library, Missing, Version};

#[test]
fn the_first_library_of_that_name_in_ld_library_path_is_taken_or_its_fault_told() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nvjpeg-library");
    let place = |name: &str| {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("libnvjpeg.so.13");
        let _ = std::fs::remove_file(&file);
        (folder, file)
    };
    let (with, library) = place("with");
    let standin = std::env::current_exe()
        .unwrap()
        .with_file_name("libnvjpeg_standin.so");
    std::os::unix::fs::symlink(standin, &library).unwrap();
    seek(&[&folder, &with]);
    let found = Library::load().unwrap();
    assert_eq!(found.path(), library);
    assert_eq!(found.version(), Version(13, 3, 2));
    assert_eq!(found.cuda_version().to_string(), "13.0.0");

    let (damaged, file) = place("damaged");
    std::fs::write(&file, "no library").unwrap();
    seek(&[&damaged, &with]);
    let missing = Library::load().unwrap_err();
    assert!(matches!(&missing, Missing::Unusable { path, .. } if *path == file));
    let said = missing.to_string();
    assert!(
        said.contains("cannot be loaded") && said.contains("damaged"),
        "{said}"
    );

    let other = Library::open(Path::new("libm.so.6"))
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("libm.so.6") && other.contains("nvjpeg"),
        "{other}"
    );
}

fn seek(folders: &[&Path]) {
    let listed = std::env::join_paths(folders).unwrap();
    // SAFETY: this program has one test, and its other thread waits for it.
    unsafe { std::env::set_var("LD_LIBRARY_PATH", listed) };
}
