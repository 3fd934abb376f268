//! Takes the place of `libnvjpeg.so.13` in tests: the entry points that the loader calls, decoding by libjpeg-turbo. Device memory is memory of the host.
//!
//! It is adversarial. Work is done when the stream comes to it (`cuLaunchHostFunc` of whatever driver is loaded), and only then are the caller's bytes,
//! pinned buffers and planes looked at, and buffers written over with rubbish: what is freed or used again too early is seen as wrong pixels. A state that
//! is used while its work is under way fails. All memory is taken by the caller's allocators, and fails where they do. The engines refuse what NVIDIA's header says real ones refuse, and fail at a file with a certain comment; a handle that is not alive is refused, and
//! those alive are counted. Any call can be made to fail: `STANDIN_FAIL=name:n[+][:status]`.
//! `STANDIN_LEVELS=n[,m]` makes every value of a plane larger by n where the engines decode, by m elsewhere. Nothing here says anything about speed.
//!
//! A test loads the library (`libnvjpeg_standin.so`) under nvJPEG's name. Functions of its own begin with `nvjpeg_standin_`.

#![allow(unsafe_code)]

mod entry;
mod faults;
mod jpeg;
mod memory;
mod objects;
mod status;
mod stream;
