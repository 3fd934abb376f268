//! Memory for a ring: of the card that its subscriber asks for, where that is possible, else of the host.

use std::os::fd::OwnedFd;

use loader_card::ExportedMemory;
use loader_ipc::{CardId, Geometry, IpcError, Place, Publisher, Reason};

use crate::pipeline::Engine;

/// A ring as far as it is the daemon's.
#[derive(Debug)]
pub struct Ring {
    /// Its sizes, and where its views lie.
    pub geometry: Geometry,
    /// Its writing end.
    pub publisher: Publisher,
    /// The card's memory, if the views lie there.
    pub card_memory: Option<ExportedMemory>,
}

impl Ring {
    /// Takes memory for a ring of `geometry`, of `card` if one is asked for. Where `engine` has none there the ring is on the host, and the reason comes with it.
    ///
    /// # Errors
    /// When the host has too little memory.
    pub fn create(
        engine: &dyn Engine,
        geometry: Geometry,
        card: Option<CardId>,
    ) -> Result<(Ring, Option<Reason>), IpcError> {
        let Some(card) = card else {
            return Ok((Ring::on_host(geometry)?, None));
        };
        let place = Place::Card(card);
        let on_card = Geometry {
            place,
            ..geometry.clone()
        };
        match exported(engine, card, on_card.layout()?.card_bytes()) {
            Ok((memory, descriptor)) => {
                let ring = Ring {
                    publisher: Publisher::create_with(&on_card, Some(descriptor))?,
                    geometry: on_card,
                    card_memory: Some(memory),
                };
                Ok((ring, None))
            }
            Err(reason) => {
                tracing::warn!("a ring lies in memory of the host, not of the card: {reason}");
                Ok((Ring::on_host(geometry)?, Some(reason)))
            }
        }
    }

    fn on_host(geometry: Geometry) -> Result<Ring, IpcError> {
        Ok(Ring {
            publisher: Publisher::create(&geometry)?,
            geometry,
            card_memory: None,
        })
    }
}

fn exported(
    engine: &dyn Engine,
    card: CardId,
    num_bytes: usize,
) -> Result<(ExportedMemory, OwnedFd), Reason> {
    let memory = engine.card_memory(card, num_bytes)?;
    let descriptor = memory.export()?;
    Ok((memory, descriptor))
}
