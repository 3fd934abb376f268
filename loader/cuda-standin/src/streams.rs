//! Streams and events. Work waits in the queue of its stream until somebody needs it to be done, and then as little is done as will do.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_void;
use std::ptr;

use host_kernels::Launch;

use crate::memory::Memory;
use crate::status::{HANGS, INVALID_HANDLE, NOT_READY, Status, complain};

/// What can be put onto a stream. Addresses are plain numbers, checked when it is done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    Upload {
        from: usize,
        to: usize,
        num_bytes: usize,
    },
    Download {
        from: usize,
        to: usize,
        num_bytes: usize,
    },
    Fill {
        at: usize,
        value: u8,
        num_bytes: usize,
    },
    /// Memory that was taken in the stream's order is there.
    Open(usize),
    GiveBack(usize),
    Kernel {
        launch: Launch,
        table: usize,
        scratch: usize,
    },
    Host {
        function: unsafe extern "C" fn(*mut c_void),
        data: usize,
    },
    /// The event's record of this number is done.
    Record {
        event: usize,
        number: u64,
    },
    /// Nothing goes on before it is.
    Wait {
        event: usize,
        number: u64,
    },
    /// Is never done, nor is what comes after it.
    Never,
}

/// What becomes of asking a stream to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    /// There is nothing to do.
    Empty,
    /// It never goes on.
    Hangs,
}

/// The default stream of the first card; those of the others are far from all handles.
const DEFAULT: usize = 1;

/// Before the first handle: small ones mean streams that nobody makes, of a thread, too.
const BEFORE_HANDLES: usize = 0x1000;

/// Who comes when.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Nothing is done before it is waited for.
    Late,
    /// Everything is done at once.
    Early,
    /// Drawn; the state of the generator.
    Drawn(u64),
}

#[derive(Debug, Default)]
struct Event {
    /// Records so far.
    num_recorded: u64,
    /// Those that are not yet done, with their streams.
    open: BTreeMap<u64, usize>,
    /// Whether it keeps the time.
    has_time: bool,
    /// When the newest that is done was.
    at: usize,
}

#[derive(Debug, Default)]
struct Queue {
    /// The card whose stream it is.
    card: usize,
    work: VecDeque<Work>,
}

/// All streams and events.
#[derive(Debug)]
pub(crate) struct Streams {
    order: Order,
    queues: BTreeMap<usize, Queue>,
    events: BTreeMap<usize, Event>,
    last_handle: usize,
    /// Things done so far: the only time there is.
    now: usize,
    /// Copies, fills and launches until the card hangs.
    num_left: usize,
}

impl Streams {
    /// Streams of cards that hang from the `hang`-th copy, fill or launch on; those never do where it is 0.
    pub(crate) fn new(order: Order, hang: usize) -> Streams {
        Streams {
            order,
            num_left: hang.checked_sub(1).unwrap_or(usize::MAX),
            queues: BTreeMap::new(),
            events: BTreeMap::new(),
            last_handle: BEFORE_HANDLES,
            now: 0,
        }
    }

    pub(crate) fn make_stream(&mut self, card: usize) -> usize {
        self.last_handle += 1;
        let work = VecDeque::new();
        self.queues.insert(self.last_handle, Queue { card, work });
        self.last_handle
    }

    /// The stream of a card that nobody makes.
    pub(crate) fn default_of(&mut self, card: usize) -> usize {
        let handle = DEFAULT + (card << 32);
        let work = VecDeque::new();
        self.queues.entry(handle).or_insert(Queue { card, work });
        handle
    }

    /// What a caller means by a stream: 0 and 1 are the default one.
    pub(crate) fn meant(&mut self, card: usize, stream: usize) -> usize {
        match stream {
            0 | DEFAULT => self.default_of(card),
            other => other,
        }
    }

    pub(crate) fn make_event(&mut self, has_time: bool) -> usize {
        self.last_handle += 1;
        let event = Event {
            has_time,
            ..Event::default()
        };
        self.events.insert(self.last_handle, event);
        self.last_handle
    }

    /// Puts work onto a stream.
    pub(crate) fn put(
        &mut self,
        stream: usize,
        work: Work,
        memory: &mut Memory,
    ) -> Result<(), Status> {
        let queue = self.queues.get_mut(&stream).ok_or(INVALID_HANDLE)?;
        if is_of_the_card(&work) {
            match self.num_left.checked_sub(1) {
                Some(left) => self.num_left = left,
                None => queue.work.push_back(Work::Never),
            }
        }
        queue.work.push_back(work);
        match self.order {
            Order::Late => {}
            // Nobody waits here: a stream that hangs is left alone.
            Order::Early => while self.step(stream, memory) == Step::Done {},
            Order::Drawn(_) => self.do_some(memory),
        }
        Ok(())
    }

    /// Records all that is on the streams of a card by now.
    pub(crate) fn record_all(
        &mut self,
        event: usize,
        card: usize,
        memory: &mut Memory,
    ) -> Result<(), Status> {
        let all = usize::MAX - card;
        let is_busy = |(stream, queue): &(&usize, &Queue)| {
            **stream != all && queue.card == card && !queue.work.is_empty()
        };
        let busy = self.queues.iter().filter(is_busy);
        let busy: Vec<usize> = busy.map(|(stream, _)| *stream).collect();
        let work = VecDeque::new();
        self.queues.entry(all).or_insert(Queue { card, work });
        for stream in busy {
            let one = self.make_event(false);
            self.record(one, stream, memory)?;
            self.wait(all, one, memory)?;
        }
        self.record(event, all, memory)
    }

    /// Whether everything on a stream is done. Asking brings it one step further.
    pub(crate) fn is_idle(&mut self, stream: usize, memory: &mut Memory) -> Result<bool, Status> {
        if !self.queues.contains_key(&stream) {
            return Err(INVALID_HANDLE);
        }
        Ok(self.step(stream, memory) == Step::Empty)
    }

    /// Never comes back to a caller whom the driver would have wait for a card that hangs.
    pub(crate) fn check_answers(&self) -> Result<(), Status> {
        let mut work = self.queues.values().flat_map(|queue| &queue.work);
        match work.any(|work| matches!(work, Work::Never)) {
            true => Err(HANGS),
            false => Ok(()),
        }
    }

    pub(crate) fn record(
        &mut self,
        event: usize,
        stream: usize,
        memory: &mut Memory,
    ) -> Result<(), Status> {
        let state = self.events.get_mut(&event).ok_or(INVALID_HANDLE)?;
        state.num_recorded += 1;
        let number = state.num_recorded;
        state.open.insert(number, stream);
        self.put(stream, Work::Record { event, number }, memory)
    }

    /// Lets a stream wait for what the event has recorded by now.
    pub(crate) fn wait(
        &mut self,
        stream: usize,
        event: usize,
        memory: &mut Memory,
    ) -> Result<(), Status> {
        let number = self.events.get(&event).ok_or(INVALID_HANDLE)?.num_recorded;
        self.put(stream, Work::Wait { event, number }, memory)
    }

    /// Does all that is on a stream.
    pub(crate) fn finish(&mut self, stream: usize, memory: &mut Memory) -> Result<(), Status> {
        if !self.queues.contains_key(&stream) {
            return Err(INVALID_HANDLE);
        }
        loop {
            match self.step(stream, memory) {
                Step::Done => {}
                Step::Empty => return Ok(()),
                Step::Hangs => return Err(HANGS),
            }
        }
    }

    /// Does all there is.
    pub(crate) fn finish_all(&mut self, memory: &mut Memory) -> Result<(), Status> {
        let streams: Vec<usize> = self.queues.keys().copied().collect();
        let finish = |stream: &usize| self.finish(*stream, memory);
        // All of them, although one hangs.
        let finished: Vec<_> = streams.iter().map(finish).collect();
        finished.into_iter().collect()
    }

    /// Does what the event has recorded by now, and no more.
    pub(crate) fn finish_event(&mut self, event: usize, memory: &mut Memory) -> Result<(), Status> {
        let number = self.events.get(&event).ok_or(INVALID_HANDLE)?.num_recorded;
        match self.reach(event, number, memory) {
            true => Ok(()),
            false => Err(HANGS),
        }
    }

    /// Whether what the event has recorded is done. Asking brings it one step further.
    pub(crate) fn is_done(&mut self, event: usize, memory: &mut Memory) -> Result<bool, Status> {
        let state = self.events.get(&event).ok_or(INVALID_HANDLE)?;
        let Some(&stream) = state.open.get(&state.num_recorded) else {
            return Ok(true);
        };
        self.step(stream, memory);
        Ok(false)
    }

    /// What lies between two events, a thing done being a millisecond.
    pub(crate) fn elapsed(&self, from: usize, to: usize) -> Result<f32, Status> {
        let at = |event: usize| match self.events.get(&event) {
            Some(state) if state.has_time && state.num_recorded > 0 => {
                match state.open.is_empty() {
                    true => Ok(state.at as i64),
                    false => Err(NOT_READY),
                }
            }
            _ => Err(INVALID_HANDLE),
        };
        Ok((at(to)? - at(from)?) as f32)
    }

    /// Ends a stream once it is done: nobody waits for that.
    pub(crate) fn end_stream(&mut self, stream: usize, memory: &mut Memory) -> Result<(), Status> {
        match self.finish(stream, memory) {
            Err(HANGS) => Ok(()),
            finished => finished.map(|()| drop(self.queues.remove(&stream))),
        }
    }

    /// Ends an event, likewise.
    pub(crate) fn end_event(&mut self, event: usize, memory: &mut Memory) -> Result<(), Status> {
        match self.finish_event(event, memory) {
            Err(HANGS) => Ok(()),
            finished => finished.map(|()| drop(self.events.remove(&event))),
        }
    }

    /// Complains if a copy to or from these bytes of the host is on its way.
    pub(crate) fn check_unused(&self, address: usize, num_bytes: usize) {
        let overlaps =
            |start: usize, len: usize| start < address + num_bytes && address < start + len;
        for work in self.queues.values().flat_map(|queue| &queue.work) {
            let (host, num_bytes) = match *work {
                Work::Upload {
                    from, num_bytes, ..
                } => (from, num_bytes),
                Work::Download { to, num_bytes, .. } => (to, num_bytes),
                _ => continue,
            };
            if overlaps(host, num_bytes) {
                complain("memory of the host is given back while a copy uses it");
            }
        }
    }

    /// `false` where that never comes.
    fn reach(&mut self, event: usize, number: u64, memory: &mut Memory) -> bool {
        let stream_of = |streams: &Streams| streams.events.get(&event)?.open.get(&number).copied();
        while let Some(stream) = stream_of(self) {
            let step = self.step(stream, memory);
            assert_ne!(step, Step::Empty, "the record is on its stream");
            if step == Step::Hangs {
                return false;
            }
        }
        true
    }

    /// Does the next thing on a stream.
    fn step(&mut self, stream: usize, memory: &mut Memory) -> Step {
        let Some(queue) = self.queues.get(&stream) else {
            return Step::Empty;
        };
        let card = queue.card;
        match queue.work.front().copied() {
            None => return Step::Empty,
            Some(Work::Never) => return Step::Hangs,
            Some(Work::Wait { event, number }) if !self.reach(event, number, memory) => {
                return Step::Hangs;
            }
            Some(_) => {}
        }
        let queue = self.queues.get_mut(&stream).expect("it is there");
        let work = queue.work.pop_front().expect("seen above");
        self.now += 1;
        match work {
            Work::Record { event, number } => {
                if let Some(state) = self.events.get_mut(&event) {
                    state.open.remove(&number);
                    state.at = self.now;
                }
            }
            Work::Wait { .. } | Work::Never => {}
            Work::Open(address) => memory.open(address),
            Work::GiveBack(address) => {
                let given = memory.give_back(address);
                given.expect("checked when it was put there");
            }
            // SAFETY: see there.
            other => unsafe { act(other, card, self.coin(), memory) },
        }
        Step::Done
    }

    /// Does a few things of streams that are drawn, often none.
    fn do_some(&mut self, memory: &mut Memory) {
        for _ in 0..self.draw() % 3 {
            let nth = self.draw() as usize % self.queues.len();
            let stream = *self.queues.keys().nth(nth).expect("one of them");
            self.step(stream, memory);
        }
    }

    fn coin(&mut self) -> bool {
        matches!(self.order, Order::Drawn(_)) && self.draw().is_multiple_of(2)
    }

    /// A number from a small generator (xorshift).
    fn draw(&mut self) -> u64 {
        let Order::Drawn(state) = &mut self.order else {
            return 0;
        };
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state >> 11
    }
}

/// Whether it is the card that does it.
fn is_of_the_card(work: &Work) -> bool {
    matches!(
        work,
        Work::Upload { .. } | Work::Download { .. } | Work::Fill { .. } | Work::Kernel { .. }
    )
}

/// Does what changes memory.
///
/// # Safety
/// Addresses of the host are those of memory that lives; those of the card are checked, apart from what descriptors name.
unsafe fn act(work: Work, card: usize, backward: bool, memory: &Memory) {
    let bytes = ptr::with_exposed_provenance_mut::<u8>;
    // SAFETY: as said above.
    unsafe {
        match work {
            Work::Upload {
                from,
                to,
                num_bytes,
            } => {
                memory.check(card, to, num_bytes, "where a copy goes to");
                ptr::copy_nonoverlapping(bytes(from), bytes(to), num_bytes);
            }
            Work::Download {
                from,
                to,
                num_bytes,
            } => {
                memory.check(card, from, num_bytes, "where a copy comes from");
                ptr::copy_nonoverlapping(bytes(from), bytes(to), num_bytes);
            }
            Work::Fill {
                at,
                value,
                num_bytes,
            } => {
                memory.check(card, at, num_bytes, "what is filled");
                bytes(at).write_bytes(value, num_bytes);
            }
            Work::Kernel {
                launch,
                table,
                scratch,
            } => {
                memory.check(card, table, 1, "a kernel's table");
                memory.check(card, scratch, 1, "a kernel's scratch");
                let launch = Launch { backward, ..launch };
                host_kernels::run(launch, bytes(table).cast(), bytes(scratch));
            }
            Work::Host { function, data } => function(bytes(data).cast()),
            // Those of streams.
            Work::Record { .. }
            | Work::Wait { .. }
            | Work::Open(_)
            | Work::GiveBack(_)
            | Work::Never => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Kind;

    const LEN: usize = 64;

    struct Card {
        memory: Memory,
        streams: Streams,
        near: usize,
    }

    impl Card {
        fn new(order: Order) -> Card {
            Card::that_hangs(order, 0)
        }

        fn that_hangs(order: Order, hang: usize) -> Card {
            let mut memory = Memory::new(1 << 20);
            let near = memory.take(Kind::Card(0), LEN).unwrap();
            Card {
                memory,
                streams: Streams::new(order, hang),
                near,
            }
        }

        fn put(&mut self, stream: usize, work: Work) {
            self.streams.put(stream, work, &mut self.memory).unwrap();
        }

        fn upload(&mut self, stream: usize, from: &[u8; LEN]) {
            let (from, to) = (from.as_ptr().expose_provenance(), self.near);
            self.put(
                stream,
                Work::Upload {
                    from,
                    to,
                    num_bytes: LEN,
                },
            );
        }

        fn download(&mut self, stream: usize, to: &mut [u8; LEN]) {
            let (from, to) = (self.near, to.as_mut_ptr().expose_provenance());
            self.put(
                stream,
                Work::Download {
                    from,
                    to,
                    num_bytes: LEN,
                },
            );
        }
    }

    /// Sends bytes to the card on one stream and back on another, with a fence in between or without.
    fn sent(order: Order, is_fenced: bool) -> [u8; LEN] {
        let mut card = Card::new(order);
        let (up, down) = (card.streams.make_stream(0), card.streams.make_stream(0));
        let event = card.streams.make_event(false);
        let (bytes, mut back) = ([7; LEN], [0; LEN]);
        card.upload(up, &bytes);
        if is_fenced {
            card.streams.record(event, up, &mut card.memory).unwrap();
            card.streams.wait(down, event, &mut card.memory).unwrap();
        }
        card.download(down, &mut back);
        card.streams.finish(down, &mut card.memory).unwrap();
        back
    }

    #[test]
    fn a_missing_fence_between_streams_gives_wrong_bytes() {
        assert_eq!(sent(Order::Late, true), [7; LEN]);
        assert_ne!(sent(Order::Late, false), [7; LEN]);
        let drawn = |is_fenced| (1..40).map(move |seed| sent(Order::Drawn(seed), is_fenced));
        assert!(drawn(true).all(|back| back == [7; LEN]));
        assert!(drawn(false).any(|back| back != [7; LEN]));
        assert!(
            drawn(false).any(|back| back == [7; LEN]),
            "sometimes one is lucky"
        );
    }

    #[test]
    fn memory_that_is_written_before_its_copy_is_done_gives_wrong_bytes() {
        let mut card = Card::new(Order::Late);
        let stream = card.streams.make_stream(0);
        let (mut bytes, mut back) = ([7; LEN], [0; LEN]);
        card.upload(stream, &bytes);
        // Read through a pointer, so that the compiler does not leave it out.
        std::hint::black_box(&mut bytes).fill(9);
        card.download(stream, &mut back);
        card.streams.finish(stream, &mut card.memory).unwrap();
        assert_eq!(back, [9; LEN]);
    }

    #[test]
    fn an_event_brings_only_what_came_before_it() {
        let mut card = Card::new(Order::Late);
        let (stream, event) = (card.streams.make_stream(0), card.streams.make_event(true));
        let (bytes, mut first, mut second) = ([7; LEN], [0; LEN], [0; LEN]);
        card.upload(stream, &bytes);
        card.download(stream, &mut first);
        card.streams
            .record(event, stream, &mut card.memory)
            .unwrap();
        card.download(stream, &mut second);
        assert!(!card.streams.is_done(event, &mut card.memory).unwrap());
        card.streams.finish_event(event, &mut card.memory).unwrap();
        let (first, second) = std::hint::black_box((first, second));
        assert_eq!((first, second), ([7; LEN], [0; LEN]));
        assert!(card.streams.is_done(event, &mut card.memory).unwrap());
        card.streams.finish_all(&mut card.memory).unwrap();
    }

    #[test]
    fn time_is_told_between_events_that_are_done_and_keep_it() {
        let mut card = Card::new(Order::Late);
        let stream = card.streams.make_stream(0);
        let [from, to, without] = [true, true, false].map(|it| card.streams.make_event(it));
        let mut record = |event| {
            let recorded = card.streams.record(event, stream, &mut card.memory);
            recorded.unwrap();
        };
        record(from);
        record(without);
        assert_eq!(card.streams.elapsed(from, to), Err(INVALID_HANDLE));
        card.upload(stream, &[7; LEN]);
        card.streams.record(to, stream, &mut card.memory).unwrap();
        card.streams.finish_event(from, &mut card.memory).unwrap();
        assert_eq!(card.streams.elapsed(from, to), Err(NOT_READY));
        card.streams.finish(stream, &mut card.memory).unwrap();
        assert_eq!(card.streams.elapsed(from, to), Ok(3.0));
        assert_eq!(card.streams.elapsed(to, from), Ok(-3.0));
        assert_eq!(card.streams.elapsed(from, without), Err(INVALID_HANDLE));
    }

    #[test]
    fn what_was_destroyed_is_refused() {
        let mut card = Card::new(Order::Early);
        let (stream, event) = (card.streams.make_stream(0), card.streams.make_event(true));
        card.streams.end_stream(stream, &mut card.memory).unwrap();
        card.streams.end_event(event, &mut card.memory).unwrap();
        assert_eq!(
            card.streams.finish(stream, &mut card.memory),
            Err(INVALID_HANDLE)
        );
        assert_eq!(
            card.streams.finish_event(event, &mut card.memory),
            Err(INVALID_HANDLE)
        );
    }

    #[test]
    fn a_card_that_hangs_does_what_came_before_and_answers_questions_alone() {
        for order in [Order::Late, Order::Early, Order::Drawn(3)] {
            let mut card = Card::that_hangs(order, 3);
            let [stream, other] = [0, 0].map(|number| card.streams.make_stream(number));
            let [done, never, later, all] = [false; 4].map(|it| card.streams.make_event(it));
            let (bytes, mut back, mut again) = ([7; LEN], [0; LEN], [0; LEN]);
            card.upload(stream, &bytes);
            card.download(stream, &mut back);
            let Card {
                streams, memory, ..
            } = &mut card;
            streams.record(done, stream, memory).unwrap();
            card.download(stream, &mut again);
            let Card {
                streams, memory, ..
            } = &mut card;
            streams.record(never, stream, memory).unwrap();
            streams.wait(other, never, memory).unwrap();
            streams.record(later, other, memory).unwrap();
            streams.record_all(all, 0, memory).unwrap();
            assert_eq!(streams.finish_event(done, memory), Ok(()));
            for event in [never, later, all] {
                assert_eq!(streams.is_done(event, memory), Ok(false));
                assert_eq!(streams.finish_event(event, memory), Err(HANGS));
            }
            assert_eq!(streams.is_idle(stream, memory), Ok(false));
            assert_eq!(streams.finish(stream, memory), Err(HANGS));
            assert_eq!(streams.finish_all(memory), Err(HANGS));
            assert_eq!(streams.check_answers(), Err(HANGS));
            assert_eq!(streams.end_event(never, memory), Ok(()));
            assert_eq!(streams.end_stream(stream, memory), Ok(()));
            let (back, again) = std::hint::black_box((back, again));
            assert_eq!((back, again), ([7; LEN], [0; LEN]));
        }
    }

    #[test]
    fn an_event_of_a_whole_card_is_passed_once_all_its_streams_are() {
        let mut card = Card::new(Order::Late);
        let (stream, event) = (card.streams.make_stream(0), card.streams.make_event(false));
        let (bytes, mut back) = ([7; LEN], [0; LEN]);
        card.upload(stream, &bytes);
        card.download(stream, &mut back);
        let Card {
            streams, memory, ..
        } = &mut card;
        streams.record_all(event, 0, memory).unwrap();
        while !streams.is_done(event, memory).unwrap() {}
        assert_eq!(std::hint::black_box(back), [7; LEN]);
        assert_eq!(streams.is_idle(stream, memory), Ok(true));
    }
}
