//! Memory of a card, as libtorch counts it.

use std::ffi::{c_char, c_int};

use crate::error::told;

/// Bytes of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardBytes {
    /// The most that was in tensors at once since the process began.
    pub peak: u64,
    /// What libtorch holds, in tensors or for later ones.
    pub held: u64,
    /// What nobody holds.
    pub free: u64,
    /// All that the card has.
    pub total: u64,
}

/// The memory of card `card`, and who has it.
pub fn of_card(card: usize) -> CardBytes {
    let mut numbers = [0; 4];
    // SAFETY: the call writes four numbers where no error is told.
    told(unsafe { torch_shim_memory(card as c_int, &mut numbers) });
    let [peak, held, free, total] = numbers;
    CardBytes {
        peak,
        held,
        free,
        total,
    }
}

unsafe extern "C" {
    fn torch_shim_memory(card: c_int, numbers: *mut [u64; 4]) -> *mut c_char;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_cuda_a_card_is_refused_in_words() {
        if tch::Cuda::is_available() {
            return;
        }
        let asked = std::panic::catch_unwind(|| of_card(0));
        let told = *asked.unwrap_err().downcast::<String>().unwrap();
        assert!(told.to_lowercase().contains("cuda"), "{told}");
    }
}
