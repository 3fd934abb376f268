//! The cards, and the words that all calls share.

use std::collections::BTreeMap;
use std::env;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::memory::{Memory, explain_faults};
use crate::shared::Shared;
use crate::streams::{Order, Streams};

/// All that the driver keeps.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) streams: Streams,
    pub(crate) shared: Shared,
    /// How often each context is retained.
    pub(crate) num_retained: BTreeMap<usize, usize>,
    /// The kernels' source of each module.
    pub(crate) modules: Vec<String>,
    /// Registered memory of the host: address and bytes.
    pub(crate) registered: Vec<(usize, usize)>,
}

static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| {
    explain_faults();
    let order = match env::var("STANDIN_ORDER").as_deref() {
        Err(_) | Ok("late") => Order::Late,
        Ok("early") => Order::Early,
        Ok(seed) => Order::Drawn(
            seed.parse()
                .expect("STANDIN_ORDER is late, early or a seed"),
        ),
    };
    Mutex::new(World {
        memory: Memory::new(number("STANDIN_MEMORY", 1 << 30)),
        streams: Streams::new(order, number("STANDIN_HANG", 0)),
        shared: Shared::new(),
        num_retained: BTreeMap::new(),
        modules: Vec::new(),
        registered: Vec::new(),
    })
});

/// The number in a variable of the environment, or what it is without.
pub(crate) fn number<T: FromStr>(name: &str, without: T) -> T {
    env::var(name).map_or(without, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// The card, for one call alone.
pub(crate) fn world() -> MutexGuard<'static, World> {
    WORLD.lock().unwrap_or_else(PoisonError::into_inner)
}
