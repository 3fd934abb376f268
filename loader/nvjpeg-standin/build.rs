//! Compiles the C side of `src/jpeg.rs` against the libjpeg-turbo that turbojpeg-sys builds.

fn main() {
    let include = std::env::var("DEP_TURBOJPEG_INCLUDE")
        .expect("turbojpeg-sys tells where the headers of libjpeg-turbo are");
    println!("cargo:rerun-if-changed=src/jpeg.c");
    cc::Build::new()
        .file("src/jpeg.c")
        .includes(include.split(','))
        .compile("nvjpeg_standin_jpeg");
}
