//! Work beside what a card computes, and copies between host and card that nobody waits for. On the CPU there is nothing to copy, and nothing to wait for.

use std::ffi::{c_char, c_int};

use tch::{Device, Tensor};
use torch_sys::C_tensor;

use crate::error::told;

/// The stream beside the one that this thread computes on at card `card`, as the driver knows it.
pub fn side_stream_of(card: usize) -> usize {
    let mut stream = 0;
    // SAFETY: the call writes a number where no error is told.
    told(unsafe { torch_shim_side_stream(card as c_int, &mut stream) });
    stream
}

/// Makes a tensor on `device`: if that is a card, beside what it computes. What the card is asked to compute from now on waits for the tensor; what
/// it was asked for before does not hold the tensor up, so `make` reads nothing that comes from there. One within another is as the outer one alone.
pub fn beside(device: Device, make: impl FnOnce() -> Tensor) -> Tensor {
    let Device::Cuda(card) = device else {
        return make();
    };
    let beside = Beside::go(card);
    let made = make();
    beside.hand_over(&made);
    made
}

/// The values of a tensor of the host on `device`. On a card they are copied through pinned memory, [`beside`] what it computes; the tensor may be
/// changed or freed as soon as this returns. One that is there already is given as it is.
pub fn to_device(tensor: &Tensor, device: Device) -> Tensor {
    let Device::Cuda(card) = device else {
        return tensor.to_device(device);
    };
    if tensor.device() == device {
        return tensor.shallow_clone();
    }
    beside(device, || {
        let mut moved = std::ptr::null_mut();
        // SAFETY: `tensor` is valid for the call, which copies its values; `moved` is written where no error is told.
        told(unsafe { torch_shim_to_card(tensor.as_ptr(), card as c_int, &mut moved) });
        // SAFETY: the call made this tensor for us and keeps no pointer to it.
        unsafe { Tensor::from_ptr(moved) }
    })
}

/// While it lives, this thread's operations go onto the side stream of a card.
struct Beside(*mut OnSide);

/// The shim's `Beside`.
#[repr(C)]
struct OnSide {
    _opaque: [u8; 0],
}

impl Beside {
    fn go(card: usize) -> Beside {
        let mut beside = std::ptr::null_mut();
        // SAFETY: the call writes what it made where no error is told.
        told(unsafe { torch_shim_go_beside(card as c_int, &mut beside) });
        Beside(beside)
    }

    /// Lets what is computed from now on wait for `made`.
    fn hand_over(&self, made: &Tensor) {
        // SAFETY: both are valid for the call, which keeps neither.
        told(unsafe { torch_shim_hand_over(self.0, made.as_ptr()) });
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // SAFETY: it was made for us, and nobody else has it. It is dropped on its thread, since a raw pointer does not leave it.
        unsafe { torch_shim_come_back(self.0) };
    }
}

/// Values on their way to the host.
#[derive(Debug)]
pub struct ToHost {
    values: Tensor,
    /// What follows them on the card; null where they are there already.
    fence: *mut Fence,
}

/// A `c10::Event`.
#[repr(C)]
struct Fence {
    _opaque: [u8; 0],
}

impl ToHost {
    /// Asks for the values as soon as the card has computed them.
    pub fn of(tensor: &Tensor) -> ToHost {
        let mut fence = std::ptr::null_mut();
        let Device::Cuda(_) = tensor.device() else {
            return ToHost {
                values: tensor.shallow_clone(),
                fence,
            };
        };
        let mut values = std::ptr::null_mut();
        // SAFETY: `tensor` is valid for the call, which keeps a reference of its own; both results are written where no error is told.
        told(unsafe { torch_shim_to_host(tensor.as_ptr(), &mut values, &mut fence) });
        // SAFETY: the call made this tensor for us and keeps no pointer to it.
        let values = unsafe { Tensor::from_ptr(values) };
        ToHost { values, fence }
    }

    /// Waits for them, and for nothing that the card was asked to do later.
    pub fn wait(self) -> Tensor {
        if !self.fence.is_null() {
            // SAFETY: the fence is this value's own until it is dropped.
            told(unsafe { torch_shim_wait(self.fence) });
        }
        self.values.shallow_clone()
    }
}

impl Drop for ToHost {
    fn drop(&mut self) {
        // SAFETY: it was made for us, nobody else has it, and null is nothing to delete.
        unsafe { torch_shim_drop(self.fence) };
    }
}

unsafe extern "C" {
    fn torch_shim_go_beside(card: c_int, beside: *mut *mut OnSide) -> *mut c_char;
    fn torch_shim_hand_over(beside: *mut OnSide, made: *const C_tensor) -> *mut c_char;
    fn torch_shim_come_back(beside: *mut OnSide);
    fn torch_shim_to_card(
        source: *const C_tensor,
        card: c_int,
        moved: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn torch_shim_to_host(
        source: *const C_tensor,
        values: *mut *mut C_tensor,
        fence: *mut *mut Fence,
    ) -> *mut c_char;
    fn torch_shim_side_stream(card: c_int, stream: *mut usize) -> *mut c_char;
    fn torch_shim_wait(fence: *mut Fence) -> *mut c_char;
    fn torch_shim_drop(fence: *mut Fence);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_cpu_the_values_are_there_at_once() {
        let values = Tensor::from_slice(&[1.5f32, 2.5]);
        assert!(ToHost::of(&values).wait() == values);
        assert!(to_device(&values, Device::Cpu) == values);
        assert!(beside(Device::Cpu, || &values + 1.0) == &values + 1.0);
    }

    #[test]
    fn without_cuda_a_card_is_refused_in_words() {
        // Also on a machine with a card: nothing loads libtorch's other half here.
        assert!(!tch::Cuda::is_available());
        let values = Tensor::from_slice(&[1.5f32]);
        let asked = std::panic::catch_unwind(|| to_device(&values, Device::Cuda(0)));
        let told = *asked.unwrap_err().downcast::<String>().unwrap();
        assert!(told.to_lowercase().contains("cuda"), "{told}");
        assert!(std::panic::catch_unwind(|| side_stream_of(0)).is_err());
        let made_beside = || beside(Device::Cuda(0), || unreachable!("there is no card"));
        assert!(std::panic::catch_unwind(made_beside).is_err());
    }
}
