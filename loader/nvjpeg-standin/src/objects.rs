//! What the library hands out: handles are numbers, and one that is not alive is refused.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::jpeg::Parsed;
use crate::memory::{Allocator, Memory, locked};
use crate::status::INVALID_PARAMETER;

/// A handle's number, in the place of its pointer.
pub(crate) type Number = usize;

#[derive(Clone)]
pub(crate) enum Object {
    /// With the allocators of the device's memory and of pinned memory.
    Library(Allocator, Allocator),
    State(Arc<State>),
    Jpeg(Arc<Mutex<Option<Jpeg>>>),
    Params,
    Backend,
    Pinned(Memory),
    Device(Memory),
}

/// A decoding state.
pub(crate) struct State {
    /// Work that is enqueued and not done.
    pub(crate) num_pending: AtomicUsize,
    /// What the engines' work uses.
    pub(crate) memory: Memory,
    pub(crate) parts: Mutex<Parts>,
}

#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) batch: usize,
    pub(crate) pinned: Option<Memory>,
    pub(crate) device: Option<Memory>,
    /// What the host's phase was about, for the phases that follow.
    pub(crate) jpeg: Option<Jpeg>,
}

/// A parsed file, whose bytes are the caller's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jpeg {
    pub(crate) parsed: Parsed,
    bytes: *const u8,
    pub(crate) num_bytes: usize,
}

// SAFETY: the address is followed only where the caller promises that the bytes are there.
unsafe impl Send for Jpeg {}

impl Jpeg {
    /// # Safety
    /// The bytes stay until all that is enqueued with the file is done.
    pub(crate) unsafe fn new(bytes: *const u8, num_bytes: usize) -> Result<Self, u32> {
        if bytes.is_null() {
            return Err(INVALID_PARAMETER);
        }
        // SAFETY: the caller's promise.
        let parsed = Parsed::read(unsafe { std::slice::from_raw_parts(bytes, num_bytes) })?;
        Ok(Self {
            parsed,
            bytes,
            num_bytes,
        })
    }

    /// The caller's bytes, as they are now.
    ///
    /// # Safety
    /// They are there.
    pub(crate) unsafe fn bytes<'b>(self) -> &'b [u8] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.bytes, self.num_bytes) }
    }
}

static LIVE: Mutex<BTreeMap<Number, Object>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicUsize = AtomicUsize::new(0x1000);

fn live() -> MutexGuard<'static, BTreeMap<Number, Object>> {
    locked(&LIVE)
}

pub(crate) fn num_live() -> usize {
    live().len()
}

/// Makes an object and writes its number.
///
/// # Safety
/// `out` is null or can be written.
pub(crate) unsafe fn create(object: Object, out: *mut Number) -> Result<(), u32> {
    if out.is_null() {
        return Err(INVALID_PARAMETER);
    }
    let number = NEXT.fetch_add(16, Ordering::Relaxed);
    live().insert(number, object);
    // SAFETY: the caller's promise.
    unsafe { out.write(number) };
    Ok(())
}

/// Destroys an object; work that still uses its memory finds none.
pub(crate) fn destroy(number: Number, is_kind: fn(&Object) -> bool) -> Result<(), u32> {
    let mut guard = live();
    let live = &mut *guard;
    match live.get(&number) {
        Some(object) if is_kind(object) => {}
        _ => return Err(INVALID_PARAMETER),
    }
    let object = live.remove(&number);
    drop(guard);
    match object {
        Some(Object::Pinned(memory) | Object::Device(memory)) => memory.give_back(ptr::null_mut()),
        Some(Object::State(state)) => state.memory.give_back(ptr::null_mut()),
        _ => {}
    }
    Ok(())
}

/// The object of a number, if it lives and is of the right kind.
pub(crate) fn get<T>(number: Number, kind: impl Fn(Object) -> Option<T>) -> Result<T, u32> {
    let object = live().get(&number).cloned();
    object.and_then(kind).ok_or(INVALID_PARAMETER)
}

macro_rules! getter {
    ($name:ident, $kind:ident -> $type:ty) => {
        pub(crate) fn $name(number: Number) -> Result<$type, u32> {
            get(number, |object| match object {
                Object::$kind(inner) => Some(inner),
                _ => None,
            })
        }
    };
}

getter!(state, State -> Arc<State>);
getter!(jpeg, Jpeg -> Arc<Mutex<Option<Jpeg>>>);
getter!(pinned, Pinned -> Memory);
getter!(device, Device -> Memory);

/// A file that was parsed successfully.
pub(crate) fn parsed(number: Number) -> Result<Jpeg, u32> {
    let jpeg = jpeg(number)?;
    let parsed = *locked(&jpeg);
    parsed.ok_or(INVALID_PARAMETER)
}

/// The allocators of a library's handle: for the device's memory, for pinned memory.
pub(crate) fn library(number: Number) -> Result<(Allocator, Allocator), u32> {
    get(number, |object| match object {
        Object::Library(device, pinned) => Some((device, pinned)),
        _ => None,
    })
}

pub(crate) fn params(number: Number) -> Result<(), u32> {
    get(number, |object| {
        matches!(object, Object::Params).then_some(())
    })
}

pub(crate) fn backend(number: Number) -> Result<(), u32> {
    get(number, |object| {
        matches!(object, Object::Backend).then_some(())
    })
}
