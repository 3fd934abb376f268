//! The header says what the library has. `SSLIGHT_WRITE_HEADER=1` writes it anew.

use std::fs;
use std::path::Path;

const HEADER: &str = "sslight_loader.h";

fn generated(crate_dir: &Path) -> String {
    let config = cbindgen::Config::from_file(crate_dir.join("cbindgen.toml")).unwrap();
    let sources = ["src/types.rs", "src/calls.rs"].map(|source| crate_dir.join(source));
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in sources {
        builder = builder.with_src(source);
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_header_that_is_kept_is_the_one_that_is_made() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = crate_dir.join(HEADER);
    let generated = generated(crate_dir);
    if std::env::var_os("SSLIGHT_WRITE_HEADER").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(
        kept == generated,
        "{HEADER} is stale; run: SSLIGHT_WRITE_HEADER=1 cargo test -p loader-c"
    );
}
