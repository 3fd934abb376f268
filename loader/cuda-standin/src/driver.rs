//! The driver's calls that the loader makes, by cudarc or itself, and those of nvJPEG's stand-in. What a call means is said in NVIDIA's documentation.
//!
//! Every call is unsafe as in C: pointers are what the documentation says.
#![allow(clippy::missing_safety_doc)]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

use host_kernels::{Launch, NAMES};

use crate::asked::{self, Access, Properties, Shape, must};
use crate::memory::Kind;
use crate::nvrtc;
use crate::shared::PIECE;
use crate::status::{
    ALREADY_REGISTERED, INVALID_CONTEXT, INVALID_HANDLE, INVALID_IMAGE, INVALID_VALUE, NO_DEVICE,
    NOT_FOUND, NOT_READY, NOT_REGISTERED, Status, UNKNOWN,
};
use crate::streams::Work;
use crate::world::{number, world};

/// The handle of the first card's context; the others follow.
const CONTEXT: usize = 0xC0;
/// The first card's UUID; its last byte is the number.
const CARD: [u8; 16] = *b"stand-in, card 0";
/// CUDA 13.0.
const VERSION: c_int = 13_000;
/// Flag of an event that keeps no time.
const WITHOUT_TIME: c_uint = 2;
/// Compute capability 9.0.
const MAJOR: c_int = 9;

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
    static CAPTURE: Cell<c_uint> = const { Cell::new(0) };
}

/// Most calls need a context on the thread that makes them: that of this card. One that nobody retains any more is none.
fn current() -> Result<usize, Status> {
    let context = CURRENT.get();
    match world().num_retained.get(&context) {
        Some(1..) => Ok(context - CONTEXT),
        _ => Err(INVALID_CONTEXT),
    }
}

fn num_devices() -> usize {
    number("STANDIN_DEVICES", 1)
}

calls! {
UNKNOWN:

    fn cuInit(_flags: c_uint) {
        match num_devices() {
            0 => Err(NO_DEVICE),
            _ => Ok(()),
        }
    }

    fn cuDriverGetVersion(version: *mut c_int) {
        version.write(number("STANDIN_DRIVER", VERSION));
        Ok(())
    }

    fn cuDeviceGetCount(count: *mut c_int) {
        count.write(num_devices() as c_int);
        Ok(())
    }

    fn cuDeviceGetUuid_v2(id: *mut [u8; 16], device: c_int) {
        let mut card = CARD;
        card[15] += device as u8;
        id.write(card);
        Ok(())
    }

    fn cuDeviceGet(device: *mut c_int, ordinal: c_int) {
        device.write(ordinal);
        if (ordinal as usize) < num_devices() { Ok(()) } else { Err(INVALID_VALUE) }
    }

    fn cuDeviceGetName(name: *mut c_char, len: c_int, _device: c_int) {
        let text = c"stand-in of a card";
        let bytes = text.to_bytes_with_nul();
        if bytes.len() > len as usize {
            return Err(INVALID_VALUE);
        }
        ptr::copy_nonoverlapping(bytes.as_ptr().cast(), name, bytes.len());
        Ok(())
    }

    fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, _device: c_int) {
        // Compute capability, and memory pools.
        value.write(match attribute {
            75 => MAJOR,
            76 => 0,
            115 => 1,
            // Descriptors of memory.
            103 => number("STANDIN_EXPORTS", 1),
            _ => return Err(INVALID_VALUE),
        });
        Ok(())
    }

    fn cuDevicePrimaryCtxRetain(context: *mut usize, device: c_int) {
        *world().num_retained.entry(CONTEXT + device as usize).or_default() += 1;
        context.write(CONTEXT + device as usize);
        Ok(())
    }

    fn cuDevicePrimaryCtxRelease_v2(device: c_int) {
        let world = &mut *world();
        let num = world.num_retained.get_mut(&(CONTEXT + device as usize)).ok_or(INVALID_CONTEXT)?;
        *num = num.checked_sub(1).ok_or(INVALID_CONTEXT)?;
        match (*num, world.streams.finish_all(&mut world.memory)) {
            (0, finished) => finished,
            // The context stays.
            _ => Ok(()),
        }
    }

    fn cuCtxGetCurrent(context: *mut usize) {
        context.write(CURRENT.get());
        Ok(())
    }

    fn cuCtxSetCurrent(context: usize) {
        CURRENT.set(context);
        Ok(())
    }

    fn cuCtxSynchronize() {
        current()?;
        let world = &mut *world();
        world.streams.finish_all(&mut world.memory)
    }

    fn cuCtxRecordEvent(context: usize, event: usize) {
        let card = current()?;
        if context != CONTEXT + card {
            return Err(INVALID_HANDLE);
        }
        let world = &mut *world();
        world.streams.record_all(event, card, &mut world.memory)
    }

    fn cuStreamCreate(stream: *mut usize, flags: c_uint) {
        must(asked::stream_flags(flags));
        let card = current()?;
        stream.write(world().streams.make_stream(card));
        Ok(())
    }

    fn cuStreamDestroy_v2(stream: usize) {
        let world = &mut *world();
        world.streams.end_stream(stream, &mut world.memory)
    }

    fn cuStreamSynchronize(stream: usize) {
        current()?;
        let world = &mut *world();
        world.streams.finish(stream, &mut world.memory)
    }

    fn cuStreamQuery(stream: usize) {
        let card = current()?;
        let world = &mut *world();
        let stream = world.streams.meant(card, stream);
        match world.streams.is_idle(stream, &mut world.memory)? {
            true => Ok(()),
            false => Err(NOT_READY),
        }
    }

    fn cuStreamWaitEvent(stream: usize, event: usize, _flags: c_uint) {
        current()?;
        let world = &mut *world();
        world.streams.wait(stream, event, &mut world.memory)
    }

    fn cuEventCreate(event: *mut usize, flags: c_uint) {
        current()?;
        event.write(world().streams.make_event(flags & WITHOUT_TIME == 0));
        Ok(())
    }

    fn cuEventDestroy_v2(event: usize) {
        let world = &mut *world();
        world.streams.end_event(event, &mut world.memory)
    }

    fn cuEventRecord(event: usize, stream: usize) {
        let card = current()?;
        let world = &mut *world();
        let stream = world.streams.meant(card, stream);
        world.streams.record(event, stream, &mut world.memory)
    }

    fn cuEventSynchronize(event: usize) {
        current()?;
        let world = &mut *world();
        world.streams.finish_event(event, &mut world.memory)
    }

    fn cuEventElapsedTime_v2(milliseconds: *mut f32, from: usize, to: usize) {
        current()?;
        milliseconds.write(world().streams.elapsed(from, to)?);
        Ok(())
    }

    fn cuThreadExchangeStreamCaptureMode(mode: *mut c_uint) {
        mode.write(CAPTURE.replace(mode.read()));
        Ok(())
    }

    fn cuEventQuery(event: usize) {
        current()?;
        let world = &mut *world();
        match world.streams.is_done(event, &mut world.memory)? {
            true => Ok(()),
            false => Err(NOT_READY),
        }
    }

    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) {
        let card = current()?;
        let world = world();
        free.write(world.memory.free_bytes(card));
        total.write(world.memory.total);
        Ok(())
    }

    fn cuMemAlloc_v2(address: *mut usize, num_bytes: usize) {
        let card = current()?;
        address.write(world().memory.take(Kind::Card(card), num_bytes)?);
        Ok(())
    }

    fn cuMemFree_v2(address: usize) {
        current()?;
        let world = &mut *world();
        // The driver waits for everything that might use it.
        world.streams.finish_all(&mut world.memory)?;
        world.memory.give_back(address)
    }

    fn cuMemAllocAsync(address: *mut usize, num_bytes: usize, stream: usize) {
        let card = current()?;
        let world = &mut *world();
        let taken = world.memory.take_closed(card, num_bytes)?;
        address.write(taken);
        world.streams.put(stream, Work::Open(taken), &mut world.memory)
    }

    fn cuMemFreeAsync(address: usize, stream: usize) {
        current()?;
        let world = &mut *world();
        if world.memory.num_bytes(address).is_none() {
            return Err(INVALID_VALUE);
        }
        world.streams.put(stream, Work::GiveBack(address), &mut world.memory)
    }

    fn cuMemHostAlloc(address: *mut usize, num_bytes: usize, _flags: c_uint) {
        current()?;
        address.write(world().memory.take(Kind::Pinned, num_bytes)?);
        Ok(())
    }

    fn cuMemFreeHost(address: usize) {
        current()?;
        let world = &mut *world();
        if let Some(num_bytes) = world.memory.num_bytes(address) {
            world.streams.check_unused(address, num_bytes);
        }
        world.streams.check_answers()?;
        world.memory.give_back(address)
    }

    fn cuMemHostRegister_v2(address: usize, num_bytes: usize, flags: c_uint) {
        current()?;
        must(asked::register_flags(flags));
        let registered = &mut world().registered;
        if registered.iter().any(|(start, _)| *start == address) {
            return Err(ALREADY_REGISTERED);
        }
        registered.push((address, num_bytes));
        Ok(())
    }

    fn cuMemHostUnregister(address: usize) {
        current()?;
        let world = &mut *world();
        let is_it = |(start, _): &(usize, usize)| *start == address;
        let index = world.registered.iter().position(is_it).ok_or(NOT_REGISTERED)?;
        let (start, num_bytes) = world.registered.remove(index);
        world.streams.check_unused(start, num_bytes);
        world.streams.check_answers()
    }

    fn cuMemcpyHtoDAsync_v2(to: usize, from: usize, num_bytes: usize, stream: usize) {
        let card = current()?;
        let world = &mut *world();
        world.memory.check(card, to, num_bytes, "where a copy is to go to");
        world.streams.put(stream, Work::Upload { from, to, num_bytes }, &mut world.memory)
    }

    fn cuMemcpyDtoHAsync_v2(to: usize, from: usize, num_bytes: usize, stream: usize) {
        let card = current()?;
        let world = &mut *world();
        world.memory.check(card, from, num_bytes, "where a copy is to come from");
        world.streams.put(stream, Work::Download { from, to, num_bytes }, &mut world.memory)
    }

    fn cuMemsetD8Async(at: usize, value: u8, num_bytes: usize, stream: usize) {
        let card = current()?;
        let world = &mut *world();
        world.memory.check(card, at, num_bytes, "what is to be filled");
        world.streams.put(stream, Work::Fill { at, value, num_bytes }, &mut world.memory)
    }

    fn cuMemsetD8_v2(at: usize, value: u8, num_bytes: usize) {
        let card = current()?;
        let world = &mut *world();
        world.memory.check(card, at, num_bytes, "what is to be filled");
        // Of memory of the card nobody waits for it.
        let stream = world.streams.default_of(card);
        world.streams.put(stream, Work::Fill { at, value, num_bytes }, &mut world.memory)
    }

    fn cuMemGetAllocationGranularity(num_bytes: *mut usize, properties: *const Properties, _option: c_uint) {
        must(properties.read().check(current()?));
        num_bytes.write(PIECE);
        Ok(())
    }

    fn cuMemCreate(handle: *mut u64, num_bytes: usize, properties: *const Properties, _flags: u64) {
        let card = current()?;
        must(asked::whole_pieces(num_bytes));
        must(properties.read().check(card));
        let world = &mut *world();
        handle.write(world.shared.take(num_bytes, card, &mut world.memory)?);
        Ok(())
    }

    fn cuMemRelease(handle: u64) {
        let world = &mut *world();
        world.shared.release(handle, &mut world.memory)
    }

    fn cuMemExportToShareableHandle(descriptor: *mut c_int, handle: u64, kind: c_uint, _flags: u64) {
        current()?;
        must(asked::handle_kind(kind));
        descriptor.write(world().shared.export(handle)?);
        Ok(())
    }

    fn cuMemImportFromShareableHandle(handle: *mut u64, descriptor: usize, kind: c_uint) {
        let card = current()?;
        must(asked::handle_kind(kind));
        handle.write(world().shared.import(descriptor as c_int, card)?);
        Ok(())
    }

    fn cuMemAddressReserve(address: *mut usize, num_bytes: usize, _alignment: usize, _wanted: usize, _flags: u64) {
        current()?;
        must(asked::whole_pieces(num_bytes));
        address.write(world().shared.reserve(num_bytes)?);
        Ok(())
    }

    fn cuMemAddressFree(address: usize, _num_bytes: usize) {
        world().shared.end_reservation(address)
    }

    fn cuMemMap(address: usize, num_bytes: usize, offset: usize, handle: u64, _flags: u64) {
        current()?;
        must(asked::whole_pieces(num_bytes));
        match offset {
            0 => world().shared.map(address, num_bytes, handle),
            _ => Err(INVALID_VALUE),
        }
    }

    fn cuMemSetAccess(address: usize, num_bytes: usize, access: *const Access, count: usize) {
        must(access.read().check(current()?, count));
        let world = &mut *world();
        world.shared.open(address, num_bytes, &mut world.memory)
    }

    fn cuMemUnmap(address: usize, _num_bytes: usize) {
        let world = &mut *world();
        world.shared.unmap(address, &mut world.memory)
    }

    fn cuModuleLoadData(module: *mut usize, image: *const c_void) {
        current()?;
        let source = nvrtc::source_of(image).ok_or(INVALID_IMAGE)?;
        let modules = &mut world().modules;
        modules.push(source);
        module.write(modules.len());
        Ok(())
    }

    fn cuModuleUnload(_module: usize) {
        current().map(drop)
    }

    fn cuModuleGetFunction(function: *mut usize, module: usize, name: *const c_char) {
        let name = CStr::from_ptr(name).to_string_lossy();
        let index = NAMES.iter().position(|known| *known == name).ok_or(NOT_FOUND)?;
        let world = world();
        let index_of_module = module.checked_sub(1).ok_or(INVALID_HANDLE)?;
        let source = world.modules.get(index_of_module).ok_or(INVALID_HANDLE)?;
        if !source.contains(&format!("void {name}(")) {
            return Err(NOT_FOUND);
        }
        function.write(index + 1);
        Ok(())
    }

    fn cuLaunchKernel(
        function: usize,
        blocks_x: c_uint,
        blocks_y: c_uint,
        blocks_z: c_uint,
        threads_x: c_uint,
        threads_y: c_uint,
        threads_z: c_uint,
        _shared_bytes: c_uint,
        stream: usize,
        parameters: *const *const usize,
        _extra: *mut *mut c_void,
    ) {
        current()?;
        must(Shape { blocks: [blocks_x, blocks_y, blocks_z], threads: [threads_x, threads_y, threads_z] }.check());
        if (blocks_z, threads_y, threads_z) != (1, 1, 1) {
            return Err(INVALID_VALUE);
        }
        let index = function.checked_sub(1).ok_or(INVALID_HANDLE)?;
        let launch = Launch {
            kernel: NAMES.get(index).ok_or(INVALID_HANDLE)?,
            num_blocks: blocks_x,
            num_threads: threads_x,
            num_views: blocks_y,
            backward: false,
        };
        let (table, scratch) = (**parameters, **parameters.add(1));
        must(asked::table(table));
        let world = &mut *world();
        world.streams.put(stream, Work::Kernel { launch, table, scratch }, &mut world.memory)
    }

    fn cuLaunchHostFunc(stream: usize, function: unsafe extern "C" fn(*mut c_void), data: usize) {
        current()?;
        let world = &mut *world();
        world.streams.put(stream, Work::Host { function, data }, &mut world.memory)
    }

    fn cuGetErrorName(_error: Status, name: *mut *const c_char) {
        name.write(c"an error of the stand-in".as_ptr());
        Ok(())
    }

    fn cuGetErrorString(_error: Status, text: *mut *const c_char) {
        text.write(c"an error of the stand-in".as_ptr());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_or_a_function_that_is_none_is_refused() {
        let (mut context, mut function) = (0, 0);
        let table = 0_usize;
        let parameters = [&raw const table, &raw const table];
        // SAFETY: pointers to what lives here.
        unsafe {
            assert_eq!(cuDevicePrimaryCtxRetain(&raw mut context, 0), 0);
            assert_eq!(cuCtxSetCurrent(context), 0);
            for module in [0, 7] {
                let found = cuModuleGetFunction(&raw mut function, module, c"colour".as_ptr());
                assert_eq!(found, INVALID_HANDLE);
            }
            for function in [0, NAMES.len() + 1] {
                let (parameters, extra) = (parameters.as_ptr(), ptr::null_mut());
                let launched = cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, 2, parameters, extra);
                assert_eq!(launched, INVALID_HANDLE);
            }
        }
    }
}
