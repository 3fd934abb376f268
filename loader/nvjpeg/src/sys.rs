//! The functions of libnvjpeg that this crate calls, found by name in a library that is loaded at run time.
//!
//! Types are those of `nvjpeg-sys` (bindings of nvJPEG 11.9, whose structs and signatures 13.3 still has), and so are the signatures: each one below is
//! compared with the binding when this is compiled, which links nothing. The two functions that are younger than the bindings are declared from
//! NVIDIA's header alone. Knows no status and no owner: those are the layers above.

use std::ffi::{c_int, c_uchar, c_uint};

use libloading::Library;
pub(crate) use nvjpeg_sys::{
    cudaStream_t, libraryPropertyType, nvjpegBackend_t, nvjpegBufferDevice_t, nvjpegBufferPinned_t,
    nvjpegChromaSubsampling_t, nvjpegDecodeParams_t, nvjpegDevAllocatorV2_t, nvjpegHandle_t,
    nvjpegImage_t, nvjpegJpegDecoder_t, nvjpegJpegState_t, nvjpegJpegStream_t,
    nvjpegOutputFormat_t, nvjpegPinnedAllocatorV2_t, nvjpegStatus_t,
};

/// Back end by the engines of the card.
pub(crate) const HARDWARE: nvjpegBackend_t = nvjpeg_sys::nvjpegBackend_t_NVJPEG_BACKEND_HARDWARE;
/// Huffman decoding by the CPU, the rest by the card.
pub(crate) const HYBRID: nvjpegBackend_t = nvjpeg_sys::nvjpegBackend_t_NVJPEG_BACKEND_HYBRID;
/// What a library without engines is created with.
pub(crate) const DEFAULT: nvjpegBackend_t = nvjpeg_sys::nvjpegBackend_t_NVJPEG_BACKEND_DEFAULT;
/// Planes of luma and chroma at the stored sampling; luma alone for a grey image.
pub(crate) const YUV: nvjpegOutputFormat_t = nvjpeg_sys::nvjpegOutputFormat_t_NVJPEG_OUTPUT_YUV;
/// What NVIDIA asks for where samplings vary, so that memory is large enough for all.
pub(crate) const ANY_SAMPLING: nvjpegChromaSubsampling_t =
    nvjpeg_sys::nvjpegChromaSubsampling_t_NVJPEG_CSS_444;

/// Declares the table, and how it is filled. `bound` functions are held against nvjpeg-sys.
macro_rules! functions {
    (bound { $($bound:ident($($arg:ty),*);)* } younger { $($young:ident($($young_arg:ty),*);)* }) => {
        /// Addresses of the functions; they hold for as long as the library is loaded.
        #[allow(non_snake_case)]
        pub(crate) struct Functions {
            $(pub(crate) $bound: unsafe extern "C" fn($($arg),*) -> nvjpegStatus_t,)*
            $(pub(crate) $young: unsafe extern "C" fn($($young_arg),*) -> nvjpegStatus_t,)*
        }

        $(const _: unsafe extern "C" fn($($arg),*) -> nvjpegStatus_t = nvjpeg_sys::$bound;)*

        impl Functions {
            /// Finds all of them.
            ///
            /// # Errors
            /// What the system says of the first that is not there.
            pub(crate) fn find(library: &Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the signatures are those of NVIDIA's header, and whoever keeps the table keeps the library.
                    $($bound: unsafe { *library.get(concat!(stringify!($bound), "\0").as_bytes())? },)*
                    // SAFETY: likewise.
                    $($young: unsafe { *library.get(concat!(stringify!($young), "\0").as_bytes())? },)*
                })
            }
        }
    };
}

functions! {
    bound {
        nvjpegGetProperty(libraryPropertyType, *mut c_int);
        nvjpegGetCudartProperty(libraryPropertyType, *mut c_int);
        nvjpegCreateExV2(
            nvjpegBackend_t, *mut nvjpegDevAllocatorV2_t, *mut nvjpegPinnedAllocatorV2_t, c_uint, *mut nvjpegHandle_t
        );
        nvjpegDestroy(nvjpegHandle_t);
        nvjpegGetHardwareDecoderInfo(nvjpegHandle_t, *mut c_uint, *mut c_uint);
        nvjpegJpegStateCreate(nvjpegHandle_t, *mut nvjpegJpegState_t);
        nvjpegJpegStateDestroy(nvjpegJpegState_t);
        nvjpegDecodeBatchedInitialize(nvjpegHandle_t, nvjpegJpegState_t, c_int, c_int, nvjpegOutputFormat_t);
        nvjpegDecodeBatchedPreAllocate(
            nvjpegHandle_t, nvjpegJpegState_t, c_int, c_int, c_int, nvjpegChromaSubsampling_t, nvjpegOutputFormat_t
        );
        nvjpegDecodeBatchedSupported(nvjpegHandle_t, nvjpegJpegStream_t, *mut c_int);
        nvjpegDecodeBatched(
            nvjpegHandle_t, nvjpegJpegState_t, *const *const c_uchar, *const usize, *mut nvjpegImage_t, cudaStream_t
        );
        nvjpegJpegStreamCreate(nvjpegHandle_t, *mut nvjpegJpegStream_t);
        nvjpegJpegStreamDestroy(nvjpegJpegStream_t);
        nvjpegJpegStreamParse(nvjpegHandle_t, *const c_uchar, usize, c_int, c_int, nvjpegJpegStream_t);
        nvjpegJpegStreamParseHeader(nvjpegHandle_t, *const c_uchar, usize, nvjpegJpegStream_t);
        nvjpegDecodeParamsCreate(nvjpegHandle_t, *mut nvjpegDecodeParams_t);
        nvjpegDecodeParamsDestroy(nvjpegDecodeParams_t);
        nvjpegDecodeParamsSetOutputFormat(nvjpegDecodeParams_t, nvjpegOutputFormat_t);
        nvjpegDecoderCreate(nvjpegHandle_t, nvjpegBackend_t, *mut nvjpegJpegDecoder_t);
        nvjpegDecoderDestroy(nvjpegJpegDecoder_t);
        nvjpegDecoderJpegSupported(nvjpegJpegDecoder_t, nvjpegJpegStream_t, nvjpegDecodeParams_t, *mut c_int);
        nvjpegDecoderStateCreate(nvjpegHandle_t, nvjpegJpegDecoder_t, *mut nvjpegJpegState_t);
        nvjpegBufferPinnedCreateV2(nvjpegHandle_t, *mut nvjpegPinnedAllocatorV2_t, *mut nvjpegBufferPinned_t);
        nvjpegBufferPinnedDestroy(nvjpegBufferPinned_t);
        nvjpegBufferDeviceCreateV2(nvjpegHandle_t, *mut nvjpegDevAllocatorV2_t, *mut nvjpegBufferDevice_t);
        nvjpegBufferDeviceDestroy(nvjpegBufferDevice_t);
        nvjpegStateAttachPinnedBuffer(nvjpegJpegState_t, nvjpegBufferPinned_t);
        nvjpegStateAttachDeviceBuffer(nvjpegJpegState_t, nvjpegBufferDevice_t);
        nvjpegDecodeJpegHost(
            nvjpegHandle_t, nvjpegJpegDecoder_t, nvjpegJpegState_t, nvjpegDecodeParams_t, nvjpegJpegStream_t
        );
        nvjpegDecodeJpegTransferToDevice(
            nvjpegHandle_t, nvjpegJpegDecoder_t, nvjpegJpegState_t, nvjpegJpegStream_t, cudaStream_t
        );
        nvjpegDecodeJpegDevice(
            nvjpegHandle_t, nvjpegJpegDecoder_t, nvjpegJpegState_t, *mut nvjpegImage_t, cudaStream_t
        );
    }
    younger {
        nvjpegBufferPinnedResize(nvjpegBufferPinned_t, usize, cudaStream_t);
        nvjpegBufferDeviceResize(nvjpegBufferDevice_t, usize, cudaStream_t);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two places where a struct of ours crosses the boundary.
    #[test]
    fn an_image_has_the_layout_of_nvidias_header() {
        assert_eq!(size_of::<nvjpegImage_t>(), 4 * 8 + 4 * 8);
        assert_eq!(std::mem::offset_of!(nvjpegImage_t, pitch), 32);
    }
}
