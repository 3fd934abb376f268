//! TensorBoard event files: scalars in TFRecord framing. Written by hand because it is three protobuf fields and a checksum.
//!
//! A record is `length: u64`, masked CRC-32C of the length, the `Event` message, masked CRC-32C of the message; all numbers
//! little endian (TensorFlow, `record_writer.h`).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Added to a rotated checksum so that a checksum of checksums stays strong (TensorFlow, `crc32c.h`).
const MASK_DELTA: u32 = 0xa282_ead8;

/// Protobuf wire types.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// An open event file.
#[derive(Debug)]
pub struct EventWriter<W: Write> {
    out: W,
}

impl EventWriter<BufWriter<File>> {
    /// A new event file in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let seconds = now().floor() as u64;
        let pid = std::process::id();
        let path = dir.join(format!("events.out.tfevents.{seconds}.{pid}"));
        EventWriter::new(BufWriter::new(File::create(path)?))
    }
}

impl<W: Write> EventWriter<W> {
    /// Starts a stream of events with the format's version.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub fn new(out: W) -> io::Result<EventWriter<W>> {
        let mut writer = EventWriter { out };
        let mut event = header(now(), 0);
        put_bytes(&mut event, 3, b"brain.Event:2");
        writer.record(&event)?;
        Ok(writer)
    }

    /// Adds one value.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub fn scalar(&mut self, tag: &str, value: f64, step: u64) -> io::Result<()> {
        let mut entry = Vec::new();
        put_bytes(&mut entry, 1, tag.as_bytes());
        put_key(&mut entry, 2, FIXED_32);
        entry.extend((value as f32).to_le_bytes());
        let mut summary = Vec::new();
        put_bytes(&mut summary, 1, &entry);
        let mut event = header(now(), step);
        put_bytes(&mut event, 5, &summary);
        self.record(&event)
    }

    /// Writes everything out.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn record(&mut self, message: &[u8]) -> io::Result<()> {
        let length = (message.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(message);
        record.extend(masked_crc(message).to_le_bytes());
        // In one piece: a buffered writer takes it whole or not at all, so a full disk tears no frame.
        self.out.write_all(&record)
    }
}

/// The fields that every event has: wall time (1) and step (2).
fn header(wall_time: f64, step: u64) -> Vec<u8> {
    let mut event = Vec::new();
    put_key(&mut event, 1, FIXED_64);
    event.extend(wall_time.to_le_bytes());
    put_key(&mut event, 2, VARINT);
    put_varint(&mut event, step);
    event
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_key(out, field, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn put_key(out: &mut Vec<u8>, field: u64, wire_type: u64) {
    put_varint(out, field << 3 | wire_type);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(MASK_DELTA)
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_has_seven_bits_per_byte() {
        let mut out = Vec::new();
        put_varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
    }

    #[test]
    fn records_are_framed_by_length_and_both_checksums() {
        let mut bytes = Vec::new();
        let mut writer = EventWriter::new(&mut bytes).unwrap();
        writer.scalar("loss", 1.5, 7).unwrap();
        let mut rest = bytes.as_slice();
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let crc = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            assert_eq!(crc(8), masked_crc(&rest[..8]));
            assert_eq!(crc(12 + length), masked_crc(&rest[12..12 + length]));
            messages.push(rest[12..12 + length].to_vec());
            rest = &rest[16 + length..];
        }
        assert_eq!(messages.len(), 2);
        assert!(messages[0].ends_with(b"brain.Event:2"));
        // Field 2 (step) is 7; field 5 holds a summary whose value is the tag and a little-endian 1.5.
        let scalar = b"\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\xc0\x3f";
        assert!(messages[1].ends_with(scalar), "{:x?}", messages[1]);
        assert_eq!(messages[1][9..11], [0x10, 7]);
    }
}
