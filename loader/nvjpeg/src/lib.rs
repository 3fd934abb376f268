//! JPEG files to planes of luma and chroma in device memory, by NVIDIA's nvJPEG, at the stored sampling: upsampling and colours are a kernel of the
//! loader, so that only the inverse DCT can differ from the CPU's decoder.
//!
//! libnvjpeg is loaded at run time ([`Library::load`]); a program with this crate starts where there is none. Three layers, each of which alone knows
//! what it is for: `sys` (names and C types), `status` (numbers to [`Failure`]), `handles` (owners that destroy). Upon them, one file for each way that an
//! image can go, and [`Decoder`], which chooses.
//!
//! Streams and addresses are those of CUDA's driver, and come from the caller; so does all memory that nvJPEG works with ([`Allocator`]). Nothing here
//! knows contexts, events, pipelines, or the CPU's decoder.
//!
//! # Which way an image goes
//!
//! | file | way |
//! |---|---|
//! | baseline (SOF0), 8 bits, all components in one scan; grey, 4:4:4, 4:2:2, 4:2:0, 4:4:0 | the engines ([`Route::Hardware`]), where the device has some and `nvjpegDecodeBatchedSupported` agrees |
//! | the same on a device without engines; extended sequential (SOF1) or progressive (SOF2); a scan for each component; 4:1:1 and 4:1:0, which NVIDIA's header excludes from the engines | the hybrid back end ([`Route::Hybrid`]) |
//! | a file within which the engines fail | the hybrid back end, that file alone ([`Decoder::decode_on`]; with [`Decoder::decode`] its whole batch) |
//! | what the engines fail at for another reason | each of the images by the hybrid back end; [`Decoder::take_engine_failure`] tells why |
//! | four components (CMYK, YCCK), two; RGB stored as such; lossless, arithmetic, hierarchical; 12 bits; samplings that nvJPEG does not list, or more than 10 blocks in a unit; no end marker at the end; more than 500 scans; no JPEG at all | none: a [`Refusal`], from the header alone |
//! | what the engines do not decode and is larger than all memory that there ever is ([`Allocator::room`]) | none: [`Refusal::TooLarge`] |
//!
//! The table is that of nvJPEG 13.3: where the wheel is installed, a test asks NVIDIA's own parser about every case. YUV output is documented for all
//! samplings that the engines take. What is refused may still be an image (or be bad) for the CPU's decoder, whose judgement then counts; this holds for
//! files without an end marker, too, since nvJPEG makes up what is missing without a word.
//!
//! # What is in flight
//!
//! A call of [`Decoder::decode`] waits for nothing. What it occupies (a state of the engines, pinned memory for each image of the hybrid back end) is used
//! again by the call [`Options::num_in_flight`] calls later, and the caller sees to it that the work is done by then. Nothing is made for an image:
//! handles are kept from batch to batch, and buffers grow to the next power of two when something larger comes. Where there is no memory for that, what a
//! call held is given back before its next turn, and grows again from nothing: a few large images do not keep memory from all others.
//!
//! ```no_run
//! use nvjpeg::{Allocator, Decoder, Library, Options, Planes};
//!
//! # fn device_memory(_: usize) -> u64 { 0 }
//! # fn allocator() -> std::sync::Arc<dyn Allocator> { unimplemented!() }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (jpeg, stream) = (Vec::new(), std::ptr::null_mut());
//! let library = Library::load()?;
//! let options = Options { num_in_flight: 2, use_engines: true };
//! let mut decoder = Decoder::new(&library, &allocator(), options)?;
//! let picture = Decoder::picture(&jpeg)?;
//! let mut planes = Planes { address: [0; 3], pitch: [0; 3] };
//! for component in 0..usize::from(picture.num_components) {
//!     let (width, height) = picture.plane(component);
//!     planes.address[component] = device_memory((width * height) as usize);
//!     planes.pitch[component] = width;
//! }
//! // SAFETY: the planes are large enough, and files and planes are left alone until the stream is done.
//! for answer in unsafe { decoder.decode(&[(&jpeg, planes)], stream) } {
//!     println!("{:?}", answer?);
//! }
//! # Ok(())
//! # }
//! ```

#![allow(unsafe_code)]

mod decoder;
mod engines;
mod handles;
mod header;
mod hybrid;
mod job;
mod library;
mod memory;
mod picture;
mod status;
mod sys;

pub use decoder::{Counts, Decoder, EngineStreams, Error, Options, Route};
pub use job::Planes;
pub use library::{Library, Missing, Version, library_folders};
pub use memory::{Allocator, Memory};
pub use picture::{Picture, Refusal};
pub use status::{Failure, Status};
