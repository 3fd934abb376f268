//! libtorch's operations over lists of tensors: moving averages, norms and the fused optimisers. On a GPU each is a handful of launches instead
//! of several for every tensor; on a CPU the optimisers pass over each tensor once, with all threads.
//!
//! All tensors of a list are on one device.

use std::borrow::Borrow;
use std::ffi::c_char;

use tch::{Kind, Tensor};
use torch_sys::C_tensor;

use crate::error::told;

/// The rate and its companions of [`sgd_`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Added to the gradient, times the parameter.
    pub weight_decay: f64,
    /// What the buffers keep of themselves; at 0 they are left alone.
    pub momentum: f64,
    /// Whether the step looks ahead.
    pub nesterov: bool,
}

/// The rate and its companions of [`adamw_`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f64,
    /// What the parameter loses, times the learning rate.
    pub weight_decay: f64,
    /// What the moments keep of themselves.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Updates of these parameters, this one included.
    pub num_steps: i64,
}

/// `tensor += weight * (end - tensor)` for each tensor and its end.
pub fn lerp_(tensors: &[Tensor], ends: &[Tensor], weight: f64) {
    assert_eq!(tensors.len(), ends.len(), "lists of different lengths");
    let (tensors, ends) = (pointers(tensors), pointers(ends));
    // SAFETY: both arrays hold `tensors.len()` valid tensors that outlive the call.
    told(unsafe { torch_shim_lerp(tensors.as_ptr(), ends.as_ptr(), tensors.len(), weight) });
}

/// The L2 norm of each tensor, `[n]`.
pub fn norms(tensors: &[impl Borrow<Tensor>]) -> Tensor {
    let tensors = pointers(tensors);
    let mut norms = std::ptr::null_mut();
    // SAFETY: the array holds `tensors.len()` valid tensors that outlive the call; `norms` is written where no error is told.
    told(unsafe { torch_shim_norms(tensors.as_ptr(), tensors.len(), &mut norms) });
    // SAFETY: the call made this tensor for us and keeps no pointer to it.
    unsafe { Tensor::from_ptr(norms) }
}

/// `buffer = momentum * buffer + g + weight_decay * p; p -= lr * buffer` (`torch.optim.SGD` without dampening, whose buffers start at 0).
pub fn sgd_(params: &[&Tensor], gradients: &[&Tensor], buffers: &[&Tensor], rule: Sgd) {
    same_length(params, &[gradients, buffers]);
    let gradients = laid_out_as(params, gradients);
    let (params, gradients, buffers) = (pointers(params), pointers(&gradients), pointers(buffers));
    // SAFETY: each array holds `params.len()` valid tensors that outlive the call; layouts are equal, which libtorch does not check.
    told(unsafe {
        torch_shim_sgd(
            params.as_ptr(),
            gradients.as_ptr(),
            buffers.as_ptr(),
            params.len(),
            rule.weight_decay,
            rule.momentum,
            rule.lr,
            rule.nesterov,
        )
    });
}

/// One step of AdamW (Loshchilov and Hutter 2019; `torch.optim.AdamW`) with the first and second moments of the gradients.
pub fn adamw_(
    params: &[&Tensor],
    gradients: &[&Tensor],
    [first, second]: [&[&Tensor]; 2],
    rule: AdamW,
) {
    same_length(params, &[gradients, first, second]);
    let num_steps = num_steps(params, rule.num_steps);
    let gradients = laid_out_as(params, gradients);
    let (params, gradients) = (pointers(params), pointers(&gradients));
    let (first, second, num_steps) = (pointers(first), pointers(second), pointers(&num_steps));
    // SAFETY: each array holds `params.len()` valid tensors that outlive the call; layouts are equal, which libtorch does not check.
    told(unsafe {
        torch_shim_adamw(
            params.as_ptr(),
            gradients.as_ptr(),
            first.as_ptr(),
            second.as_ptr(),
            num_steps.as_ptr(),
            params.len(),
            rule.lr,
            rule.betas.0,
            rule.betas.1,
            rule.weight_decay,
            rule.eps,
        )
    });
}

/// The same number for each parameter, as libtorch wants it; they share one tensor.
fn num_steps(params: &[&Tensor], num_steps: i64) -> Vec<Tensor> {
    let Some(first) = params.first() else {
        return Vec::new();
    };
    let one = Tensor::full([] as [i64; 0], num_steps, (Kind::Float, first.device()));
    params.iter().map(|_| one.shallow_clone()).collect()
}

/// The fused optimisers walk over memory and look at no stride: a gradient in another layout than its parameter is copied into that one.
fn laid_out_as(params: &[&Tensor], gradients: &[&Tensor]) -> Vec<Tensor> {
    let laid_out = |(param, gradient): (&&Tensor, &&Tensor)| {
        if param.stride() == gradient.stride() {
            return gradient.shallow_clone();
        }
        let mut copy = param.empty_like();
        copy.copy_(gradient);
        copy
    };
    params.iter().zip(gradients).map(laid_out).collect()
}

fn same_length(tensors: &[&Tensor], others: &[&[&Tensor]]) {
    let is_same = |other: &&[&Tensor]| other.len() == tensors.len();
    assert!(others.iter().all(is_same), "lists of different lengths");
}

fn pointers(tensors: &[impl Borrow<Tensor>]) -> Vec<*const C_tensor> {
    let pointer = |tensor: &_| Borrow::<Tensor>::borrow(tensor).as_ptr();
    tensors.iter().map(pointer).collect()
}

unsafe extern "C" {
    fn torch_shim_lerp(
        tensors: *const *const C_tensor,
        ends: *const *const C_tensor,
        n: usize,
        weight: f64,
    ) -> *mut c_char;
    fn torch_shim_norms(
        tensors: *const *const C_tensor,
        n: usize,
        norms: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn torch_shim_sgd(
        params: *const *const C_tensor,
        updates: *const *const C_tensor,
        buffers: *const *const C_tensor,
        n: usize,
        weight_decay: f64,
        momentum: f64,
        lr: f64,
        nesterov: bool,
    ) -> *mut c_char;
    fn torch_shim_adamw(
        params: *const *const C_tensor,
        gradients: *const *const C_tensor,
        first: *const *const C_tensor,
        second: *const *const C_tensor,
        num_steps: *const *const C_tensor,
        n: usize,
        lr: f64,
        beta_1: f64,
        beta_2: f64,
        weight_decay: f64,
        eps: f64,
    ) -> *mut c_char;
}
