//! One partition's night as a compressed blob: resources and metrics as read, a JSON line each.
//!
//! The scan writes it; a back-test reads it. Kept 35 nights by the store.

use std::io::{BufRead, BufReader, Write};

use anyhow::Context;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::domain::resource::Resource;
use crate::domain::usage::Usage;

#[derive(Serialize)]
struct LineOut<'a> {
    resource: &'a Resource,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a Usage>,
}

/// One resource of a stored night.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct NightLine {
    /// As read that night.
    pub resource: Resource,
    /// Its metrics, if they were read.
    #[serde(default)]
    pub usage: Option<Usage>,
}

/// Makes the blob, a resource at a time.
pub struct Packer {
    encoder: GzEncoder<Grown>,
    /// One line: the serialiser writes a few bytes at once, and each write is a call of the compressor.
    line: Vec<u8>,
}

/// Bytes that grow by a fixed step. Doubling would hold up to twice the blob while the whole partition is in memory.
struct Grown(Vec<u8>);

/// Step of [`Grown`], bytes.
const STEP: usize = 1 << 20;

impl Packer {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "begins a file rather than a value")]
    pub fn new() -> Packer {
        // Level 1: a quarter of the time of the default for a tenth more bytes.
        Packer { encoder: GzEncoder::new(Grown(Vec::new()), Compression::fast()), line: Vec::new() }
    }

    /// Adds one resource with its metrics, if they were read.
    pub fn add(&mut self, resource: &Resource, usage: Option<&Usage>) -> anyhow::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &LineOut { resource, usage }).context("packing an inventory")?;
        self.line.push(b'\n');
        self.encoder.write_all(&self.line).context("packing an inventory")
    }

    /// The blob.
    pub fn finish(self) -> anyhow::Result<Vec<u8>> {
        Ok(self.encoder.finish().context("packing an inventory")?.0)
    }
}

impl Write for Grown {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.capacity() - self.0.len() < bytes.len() {
            self.0.reserve_exact(bytes.len().max(STEP));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The resources of a blob, in the order in which they were read.
pub fn unpack(blob: &[u8]) -> anyhow::Result<Vec<NightLine>> {
    BufReader::new(GzDecoder::new(blob))
        .lines()
        .map(|line| {
            let line = line.context("unpacking a stored inventory")?;
            serde_json::from_str(&line).context("unpacking a stored inventory")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{instance, quiet, usage, volume};

    #[test]
    fn a_night_comes_back_as_it_was_read() {
        let resources = [instance("i-1", "m5.large", 30), volume("vol-1", 8, "gp3")];
        let metrics = usage(&[Some(1.5), None, None, None, None, None, Some(2.0)], &[Some(9.0); 7], Some(quiet(3.0)));
        let mut packer = Packer::new();
        packer.add(&resources[0], Some(&metrics)).unwrap();
        packer.add(&resources[1], None).unwrap();
        let lines = unpack(&packer.finish().unwrap()).unwrap();
        assert_eq!(lines[0], NightLine { resource: resources[0].clone(), usage: Some(metrics) });
        assert_eq!(lines[1], NightLine { resource: resources[1].clone(), usage: None });
        assert_eq!(lines.len(), 2);
    }
}
