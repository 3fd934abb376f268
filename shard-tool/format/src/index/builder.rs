//! Writes the index of one shard.

use super::entry::{ENTRY_BYTES, Entry, HEADER_BYTES, MAGIC, VERSION};

/// Collects the entries of one shard and turns them into the bytes of its index.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    entries: Vec<u8>,
    keys: Vec<u8>,
}

impl IndexBuilder {
    /// Entries so far.
    pub fn num_entries(&self) -> u64 {
        (self.entries.len() / ENTRY_BYTES) as u64
    }

    /// Whether offsets into the key bytes still fit after a key of this length.
    pub fn has_room_for(&self, key: &str) -> bool {
        u32::try_from(self.keys.len() + key.len()).is_ok()
    }

    /// Adds an entry. The caller has checked [`Self::has_room_for`] and
    /// [`crate::name::MAX_KEY_BYTES`].
    pub fn push(&mut self, entry: &Entry, key: &str) {
        let header = &entry.header;
        self.entries.extend(entry.offset.to_le_bytes());
        for field in [
            entry.length,
            entry.crc,
            header.width,
            header.height,
            entry.label,
        ] {
            self.entries.extend(field.to_le_bytes());
        }
        self.entries.extend((self.keys.len() as u32).to_le_bytes());
        self.entries.extend((key.len() as u16).to_le_bytes());
        self.entries
            .extend([header.kind as u8, header.colour as u8, header.bits, 0, 0, 0]);
        self.keys.extend(key.as_bytes());
    }

    /// The whole index of a shard of this size and digest.
    pub fn to_bytes(&self, shard_bytes: u64, shard_digest: u64) -> Vec<u8> {
        let mut body_crc = crc32fast::Hasher::new();
        body_crc.update(&self.entries);
        body_crc.update(&self.keys);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.entries.len() + self.keys.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((ENTRY_BYTES as u32).to_le_bytes());
        for field in [
            self.num_entries(),
            shard_bytes,
            self.keys.len() as u64,
            shard_digest,
        ] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(body_crc.finalize().to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes.extend(&self.entries);
        bytes.extend(&self.keys);
        bytes
    }
}
