//! Whose turn each slot is: one word per slot, counting up.
//!
//! Batch number `sequence` lives in slot `sequence % num_slots`, in round `sequence / num_slots` of that slot. The slot's turn
//! word tells who may touch it:
//!
//! | turn | meaning | next step, by whom |
//! |---|---|---|
//! | `2 * round` | free for round `round` | the publisher fills it, then stores `2 * round + 1` (release) |
//! | `2 * round + 1` | ready | the subscriber leases it, then stores `2 * round + 2` (release), which is free for the next round |
//!
//! Each side loads with acquire, so what the other wrote before its store is visible. Any other value is a broken peer.
//! Words wrap after 2^31 rounds; both sides compute with wrapping arithmetic.

use std::time::{Duration, Instant};

use crate::error::IpcError;
use crate::layout::{CONTROL_HEADER_BYTES, Layout, TURN_STRIDE};
use crate::segment::Segment;
use crate::sync::{self, AtomicU32, AtomicU64, Ordering};

const MAGIC: u64 = u64::from_le_bytes(*b"SSLRING1");
const MAGIC_AT: usize = 0;
const NUM_SLOTS_AT: usize = 8;
const CONSUMER_WAIT_AT: usize = 64;

/// The control segment, seen as a ring of turn words.
#[derive(Debug)]
pub(crate) struct Ring {
    segment: Segment,
    num_slots: usize,
}

/// One slot in one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) slot: usize,
    pub(crate) free: u32,
}

impl Turn {
    pub(crate) fn ready(self) -> u32 {
        self.free.wrapping_add(1)
    }

    pub(crate) fn released(self) -> u32 {
        self.free.wrapping_add(2)
    }

    /// The value before `free`: the slot still holds the earlier batch, which the subscriber has not given back.
    fn earlier(self) -> u32 {
        self.free.wrapping_sub(1)
    }

    /// The value before that: rows of the earlier batch are still being filled.
    fn being_filled(self) -> u32 {
        self.free.wrapping_sub(2)
    }
}

impl Ring {
    pub(crate) fn create(layout: &Layout) -> Result<Ring, IpcError> {
        let segment = Segment::create_control(layout.control_bytes())?;
        segment
            .word(NUM_SLOTS_AT)
            .store(layout.num_slots as u32, Ordering::Relaxed);
        segment.counter(MAGIC_AT).store(MAGIC, Ordering::Release);
        Ok(Ring {
            segment,
            num_slots: layout.num_slots,
        })
    }

    pub(crate) fn open(fd: std::os::fd::OwnedFd, layout: &Layout) -> Result<Ring, IpcError> {
        let segment = Segment::open(fd, layout.control_bytes(), true)?;
        let magic = segment.counter(MAGIC_AT).load(Ordering::Acquire);
        let num_slots = segment.word(NUM_SLOTS_AT).load(Ordering::Relaxed);
        if magic != MAGIC || num_slots as usize != layout.num_slots {
            let what = format!("control segment with magic {magic:#x} and {num_slots} slots");
            return Err(IpcError::Corrupt { what });
        }
        Ok(Ring {
            segment,
            num_slots: layout.num_slots,
        })
    }

    pub(crate) fn fd(&self) -> Result<std::os::fd::OwnedFd, IpcError> {
        self.segment.fd()
    }

    pub(crate) fn turn(&self, sequence: u64) -> Turn {
        let num_slots = self.num_slots as u64;
        let round = (sequence / num_slots) as u32;
        Turn {
            slot: (sequence % num_slots) as usize,
            free: round.wrapping_mul(2),
        }
    }

    /// Time the subscriber has spent waiting for batches, in microseconds (its own word for it).
    pub(crate) fn consumer_wait_us(&self) -> &AtomicU64 {
        self.segment.counter(CONSUMER_WAIT_AT)
    }

    /// Publisher: waits until the slot is free. `false` when `timeout` passed first.
    pub(crate) fn wait_free(&self, turn: Turn, timeout: Duration) -> Result<bool, IpcError> {
        self.wait(
            turn,
            turn.free,
            &[turn.earlier(), turn.being_filled()],
            timeout,
        )
    }

    /// Subscriber: waits until the slot is ready. `false` when `timeout` passed first.
    pub(crate) fn wait_ready(&self, turn: Turn, timeout: Duration) -> Result<bool, IpcError> {
        self.wait(turn, turn.ready(), &[turn.free, turn.earlier()], timeout)
    }

    /// Subscriber: whether the slot still holds the batch before, which was received and not given back.
    pub(crate) fn is_held(&self, turn: Turn) -> bool {
        self.word(turn).load(Ordering::Relaxed) == turn.earlier()
    }

    pub(crate) fn publish(&self, turn: Turn) {
        self.hand_over(turn, turn.ready());
    }

    pub(crate) fn release(&self, turn: Turn) {
        self.hand_over(turn, turn.released());
    }

    fn hand_over(&self, turn: Turn, value: u32) {
        let word = self.word(turn);
        word.store(value, Ordering::Release);
        sync::wake(word);
    }

    fn word(&self, turn: Turn) -> &AtomicU32 {
        self.segment
            .word(CONTROL_HEADER_BYTES + TURN_STRIDE * turn.slot)
    }

    fn wait(
        &self,
        turn: Turn,
        wanted: u32,
        patient: &[u32],
        timeout: Duration,
    ) -> Result<bool, IpcError> {
        let word = self.word(turn);
        let start = Instant::now();
        loop {
            let seen = word.load(Ordering::Acquire);
            if seen == wanted {
                return Ok(true);
            }
            if !patient.contains(&seen) {
                let what = format!("slot {} at turn {seen}, waiting for {wanted}", turn.slot);
                return Err(IpcError::Corrupt { what });
            }
            let Some(left) = timeout
                .checked_sub(start.elapsed())
                .filter(|left| !left.is_zero())
            else {
                return Ok(false);
            };
            sync::wait(word, seen, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Geometry;
    use crate::recipe::Recipe;

    const NOW: Duration = Duration::ZERO;

    fn pair(num_slots: u32) -> (Ring, Ring) {
        let layout = Geometry::new(&Recipe::evaluation(8, 8), 1, num_slots)
            .layout()
            .unwrap();
        let publisher = Ring::create(&layout).unwrap();
        let subscriber = Ring::open(publisher.fd().unwrap(), &layout).unwrap();
        (publisher, subscriber)
    }

    #[test]
    fn a_slot_goes_free_ready_free() {
        let (publisher, subscriber) = pair(2);
        for sequence in 0..7 {
            let turn = publisher.turn(sequence);
            assert!(publisher.wait_free(turn, NOW).unwrap());
            assert!(!subscriber.wait_ready(turn, NOW).unwrap());
            let next = publisher.turn(sequence + 2);
            assert!(
                !publisher.wait_free(next, NOW).unwrap(),
                "it is still filled"
            );
            publisher.publish(turn);
            assert!(subscriber.wait_ready(turn, NOW).unwrap());
            assert!(
                !publisher
                    .wait_free(publisher.turn(sequence + 2), NOW)
                    .unwrap()
            );
            subscriber.release(turn);
        }
    }

    #[test]
    fn turns_survive_the_wrap_of_their_word() {
        let (publisher, subscriber) = pair(2);
        let last_round = 2 * (1u64 << 31) - 2;
        let turn = publisher.turn(last_round);
        publisher.word(turn).store(turn.free, Ordering::Release);
        publisher.publish(turn);
        assert!(subscriber.wait_ready(turn, NOW).unwrap());
        subscriber.release(turn);
        assert!(
            publisher
                .wait_free(publisher.turn(last_round + 2), NOW)
                .unwrap()
        );
    }

    #[test]
    fn a_turn_that_no_sound_peer_stores_is_reported() {
        let (publisher, subscriber) = pair(2);
        let turn = publisher.turn(0);
        publisher.word(turn).store(99, Ordering::Release);
        assert!(matches!(
            subscriber.wait_ready(turn, NOW),
            Err(IpcError::Corrupt { .. })
        ));
        assert!(matches!(
            publisher.wait_free(turn, NOW),
            Err(IpcError::Corrupt { .. })
        ));
    }

    #[test]
    fn a_sleeping_subscriber_is_woken_by_the_publication() {
        let (publisher, subscriber) = pair(2);
        let turn = publisher.turn(0);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                subscriber
                    .wait_ready(turn, Duration::from_secs(60))
                    .unwrap()
            });
            publisher.publish(turn);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn a_ring_of_another_size_is_refused() {
        let (publisher, _) = pair(4);
        let other = Geometry::new(&Recipe::evaluation(8, 8), 1, 5)
            .layout()
            .unwrap();
        assert!(matches!(
            Ring::open(publisher.fd().unwrap(), &other),
            Err(IpcError::Corrupt { .. })
        ));
    }
}
