//! The shared library is never unloaded: a thread that awaits the end of a daemon that was started may still run in it.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
