//! All engines of a daemon: the CPU's threads, or a card and, once somebody wants his views on them, other cards.

use std::sync::{Arc, Mutex, PoisonError};

use loader_ipc::{CardId, Reason, RouteCount};

use crate::pipeline::engine::Engine;

/// See the module's documentation. A stream stays with the engine that it is given, and all streams for memory of the host have the first: an inverse DCT of another card
/// may be a level off.
#[derive(Debug)]
pub struct Engines {
    first: Arc<dyn Engine>,
    others: Mutex<Vec<Arc<dyn Engine>>>,
}

impl Engines {
    /// The daemon begins with one.
    pub fn new(first: Arc<dyn Engine>) -> Engines {
        let others = Mutex::default();
        Engines { first, others }
    }

    /// What makes batches for memory of the host.
    pub fn first(&self) -> &Arc<dyn Engine> {
        &self.first
    }

    /// What makes batches in memory of `card`, which is opened if it is not yet.
    ///
    /// # Errors
    /// Why nothing does.
    pub fn of(&self, card: CardId) -> Result<Arc<dyn Engine>, Reason> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |engine: &&Arc<dyn Engine>| engine.card() == Some(card);
        if let Some(engine) = others.iter().chain([&self.first]).find(is_it) {
            return Ok(Arc::clone(engine));
        }
        let engine = self.first.beside(card)?;
        tracing::info!("batches are made by {}, too: {card}", engine.describe());
        others.push(Arc::clone(&engine));
        Ok(engine)
    }

    /// The cards that are open, and the bytes that batches in flight have of each.
    pub fn cards(&self) -> Vec<(CardId, u64)> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let engines = [&self.first].into_iter().chain(others.iter());
        let card = |engine: &Arc<dyn Engine>| Some((engine.card()?, engine.in_flight_bytes()));
        engines.filter_map(card).collect()
    }

    /// The ways that images took so far, where there are several.
    pub fn routes(&self) -> Vec<RouteCount> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = self.first.routes();
        for count in others.iter().flat_map(|engine| engine.routes()) {
            match sums.iter_mut().find(|sum| sum.route == count.route) {
                Some(sum) => sum.num_images += count.num_images,
                None => sums.push(count),
            }
        }
        sums
    }
}
