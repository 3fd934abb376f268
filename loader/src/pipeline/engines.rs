//! All engines of a daemon: the CPU's threads, or one for each card. A stream stays with the one that it is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loader_ipc::{CardId, RouteCount};

use crate::pipeline::engine::Engine;

/// See the module's documentation.
#[derive(Debug)]
pub struct Engines {
    all: Vec<Arc<dyn Engine>>,
    num_streams: AtomicUsize,
}

impl Engines {
    /// # Panics
    /// If there is none.
    pub fn new(all: Vec<Arc<dyn Engine>>) -> Engines {
        assert!(!all.is_empty(), "somebody makes the batches");
        let num_streams = AtomicUsize::new(0);
        Engines { all, num_streams }
    }

    /// The engine of a new stream: that of the card which shall hold its views, else each in turn.
    pub fn for_stream(&self, card: Option<CardId>) -> &Arc<dyn Engine> {
        let is_meant = |engine: &&Arc<dyn Engine>| card.is_some() && engine.card() == card;
        let meant = self.all.iter().find(is_meant);
        meant.unwrap_or_else(|| {
            let turn = self.num_streams.fetch_add(1, Ordering::Relaxed);
            &self.all[turn % self.all.len()]
        })
    }

    /// What they are, for people.
    pub fn describe(&self) -> String {
        let each: Vec<String> = self.all.iter().map(|engine| engine.describe()).collect();
        each.join("; ")
    }

    /// The ways that images took so far, where there are several.
    pub fn routes(&self) -> Vec<RouteCount> {
        let mut sums: Vec<RouteCount> = Vec::new();
        for count in self.all.iter().flat_map(|engine| engine.routes()) {
            match sums.iter_mut().find(|sum| sum.route == count.route) {
                Some(sum) => sum.num_images += count.num_images,
                None => sums.push(count),
            }
        }
        sums
    }
}
