//! Compiles the C side of `src/libjpeg.rs` against the libjpeg-turbo that turbojpeg-sys builds.

fn main() {
    let include = std::env::var("DEP_TURBOJPEG_INCLUDE")
        .expect("turbojpeg-sys tells where the headers of libjpeg-turbo are");
    println!("cargo:rerun-if-changed=src/libjpeg.c");
    cc::Build::new()
        .file("src/libjpeg.c")
        .includes(include.split(','))
        .compile("image_decode_libjpeg");
}
