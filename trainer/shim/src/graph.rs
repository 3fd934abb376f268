//! Work that a card is asked for once and does again and again: a CUDA graph. A card is then given one order instead of thousands, each of
//! which costs the host some microseconds.
//!
//! While work is recorded nothing of it is done. Tensors that it makes have their shapes and get their values at every [`Graph::replay`], at
//! the same place; numbers of the host (rates, scales, counts) stay what they were. So what changes from one replay to the next has to lie in tensors that
//! the work reads, and those must be kept as long as the graph. Random numbers follow the seed that is set before a replay.
//!
//! The crate `graph-standin` records on the CPU in the same way, for tests.

use std::ffi::{CStr, c_char, c_int};

use tch::Device;

use crate::error::told;

/// Recorded work.
#[derive(Debug)]
pub struct Graph(*mut RawGraph);

/// A `Graph` of graph.h.
#[repr(C)]
struct RawGraph {
    _opaque: [u8; 0],
}

impl Graph {
    /// Records what `work` asks `device` for, on this thread. The card must have done the same work twice before: the first time libtorch chooses its kernels.
    ///
    /// Panics with libtorch's words where work cannot be recorded: on the CPU, or where it reads values back.
    pub fn record<T>(device: Device, work: impl FnOnce() -> T) -> (Graph, T) {
        let card = match device {
            Device::Cuda(card) => card as c_int,
            _ => -1,
        };
        let mut begun = std::ptr::null_mut();
        // SAFETY: the call writes a pointer where no error is told.
        told(unsafe { torch_shim_graph_begin(card, &mut begun) });
        let graph = Graph(begun);
        let asked = work();
        // SAFETY: the graph is this value's own until it is dropped.
        told(unsafe { torch_shim_graph_end(graph.0) });
        (graph, asked)
    }

    /// Asks the device for all of it again, after what it was asked for until now.
    pub fn replay(&self) {
        // SAFETY: the graph is this value's own until it is dropped.
        told(unsafe { torch_shim_graph_replay(self.0) });
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: it was made for us and nobody else has it; one that still records ends to.
        unsafe { torch_shim_graph_drop(self.0) };
    }
}

/// A function of graphs that the loaded CUDA half of libtorch does not have, if there is one.
pub fn missing() -> Option<&'static str> {
    // SAFETY: the call gives a C string that lives as long as the program, or null.
    let name = unsafe { torch_shim_graph_missing() };
    // SAFETY: as above.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_str().expect("ASCII"))
}

unsafe extern "C" {
    fn torch_shim_graph_begin(card: c_int, begun: *mut *mut RawGraph) -> *mut c_char;
    fn torch_shim_graph_end(graph: *mut RawGraph) -> *mut c_char;
    fn torch_shim_graph_replay(graph: *mut RawGraph) -> *mut c_char;
    fn torch_shim_graph_drop(graph: *mut RawGraph);
    fn torch_shim_graph_missing() -> *const c_char;
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    #[test]
    fn on_the_cpu_recording_is_refused_in_words() {
        let asked = std::panic::catch_unwind(|| Graph::record(Device::Cpu, || Tensor::from(1.0)));
        let told = *asked.unwrap_err().downcast::<String>().unwrap();
        assert!(told.contains("not on the CPU"), "{told}");
    }
}
