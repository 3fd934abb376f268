//! Memory for a ring, and what fills it: the card that its subscriber asks for, where that is possible, else the host's memory.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use loader_card::ExportedMemory;
use loader_ipc::{CardId, Geometry, IpcError, Place, Publisher, Reason};

use crate::pipeline::{Engine, Engines};

/// A ring as far as it is the daemon's.
#[derive(Debug)]
pub struct Ring {
    /// Its sizes, and where its views lie.
    pub geometry: Geometry,
    /// Its writing end.
    pub publisher: Publisher,
    /// What makes its batches.
    pub engine: Arc<dyn Engine>,
    /// The card's memory, if the views lie there.
    pub card_memory: Option<ExportedMemory>,
}

impl Ring {
    /// Takes memory for a ring of `geometry`, of `card` if one is asked for. Where none of the `engines` has memory there the ring is on the host, and the reason comes with it.
    ///
    /// # Errors
    /// When the host has too little memory.
    pub fn create(
        engines: &Engines,
        geometry: Geometry,
        card: Option<CardId>,
    ) -> Result<(Ring, Option<Reason>), IpcError> {
        let Some(card) = card else {
            return Ok((Ring::on_host(engines, geometry)?, None));
        };
        let place = Place::Card(card);
        let on_card = Geometry {
            place,
            ..geometry.clone()
        };
        match exported(engines, card, on_card.layout()?.card_bytes()) {
            Ok((engine, memory, descriptor)) => {
                let ring = Ring {
                    publisher: Publisher::create_with(&on_card, Some(descriptor))?,
                    geometry: on_card,
                    engine,
                    card_memory: Some(memory),
                };
                Ok((ring, None))
            }
            Err(reason) => {
                tracing::warn!("a ring lies in memory of the host, not of the card: {reason}");
                Ok((Ring::on_host(engines, geometry)?, Some(reason)))
            }
        }
    }

    fn on_host(engines: &Engines, geometry: Geometry) -> Result<Ring, IpcError> {
        Ok(Ring {
            publisher: Publisher::create(&geometry)?,
            geometry,
            engine: Arc::clone(engines.first()),
            card_memory: None,
        })
    }
}

type Exported = (Arc<dyn Engine>, ExportedMemory, OwnedFd);

fn exported(engines: &Engines, card: CardId, num_bytes: usize) -> Result<Exported, Reason> {
    let engine = engines.of(card)?;
    let memory = engine.card_memory(num_bytes)?;
    let descriptor = memory.export()?;
    Ok((engine, memory, descriptor))
}
