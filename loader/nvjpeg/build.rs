//! nvjpeg-sys asks the linker for `-lnvjpeg`. An empty archive of that name answers: whoever uses this crate links where there is no nvJPEG, and
//! what is linked starts there.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let folder = std::env::var("OUT_DIR").expect("cargo tells the folder for what is built");
    let archive = Path::new(&folder).join("libnvjpeg.a");
    std::fs::write(archive, "!<arch>\n").expect("the folder can be written");
    println!("cargo:rustc-link-search=native={folder}");
}
