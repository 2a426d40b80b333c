//! One partition's night as a blob: resources and metrics as read, a JSON line each, compressed unless it is small.
//!
//! The scan writes it; a back-test reads it. Kept 35 nights by the store.

use std::io::{BufRead, BufReader, Read, Write};

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
#[derive(Default)]
pub struct Packer {
    /// Lines that are not compressed yet: the serialiser writes a few bytes at once, and each write to the compressor is a
    /// call of it.
    lines: Vec<u8>,
    encoder: Option<GzEncoder<Grown>>,
}

/// What is smaller stays as it is, bytes. Setting up a compressor costs more than it saves on a few resources, and most
/// partitions of an account have no more.
const SMALL: usize = 16 << 10;

/// Bytes that grow by a fixed step. Doubling would hold up to twice the blob while the whole partition is in memory.
struct Grown(Vec<u8>);

/// Step of [`Grown`], bytes.
const STEP: usize = 1 << 20;

impl Packer {
    /// Adds one resource with its metrics, if they were read.
    pub fn add(&mut self, resource: &Resource, usage: Option<&Usage>) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.lines, &LineOut { resource, usage }).context("packing an inventory")?;
        self.lines.push(b'\n');
        if self.lines.len() >= SMALL {
            // Level 1: a quarter of the time of the default for a tenth more bytes.
            let begin = || GzEncoder::new(Grown(Vec::new()), Compression::fast());
            self.encoder.get_or_insert_with(begin).write_all(&self.lines).context("packing an inventory")?;
            self.lines.clear();
        }
        Ok(())
    }

    /// The blob.
    pub fn finish(self) -> anyhow::Result<Vec<u8>> {
        let Some(mut encoder) = self.encoder else { return Ok(self.lines) };
        encoder.write_all(&self.lines).context("packing an inventory")?;
        Ok(encoder.finish().context("packing an inventory")?.0)
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

/// How a compressed blob begins; a line of JSON does not.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The resources of a blob, in the order in which they were read.
pub fn unpack(blob: &[u8]) -> anyhow::Result<Vec<NightLine>> {
    let packed = blob.starts_with(&GZIP);
    let bytes: Box<dyn Read + '_> = if packed { Box::new(GzDecoder::new(blob)) } else { Box::new(blob) };
    BufReader::new(bytes)
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
        let mut packer = Packer::default();
        packer.add(&resources[0], Some(&metrics)).unwrap();
        packer.add(&resources[1], None).unwrap();
        let lines = unpack(&packer.finish().unwrap()).unwrap();
        assert_eq!(lines[0], NightLine { resource: resources[0].clone(), usage: Some(metrics) });
        assert_eq!(lines[1], NightLine { resource: resources[1].clone(), usage: None });
        assert_eq!(lines.len(), 2);
        assert_eq!(unpack(&Packer::default().finish().unwrap()).unwrap(), []);
    }

    #[test]
    fn many_are_compressed_few_are_not_and_both_come_back() {
        for (count, packed) in [(1, false), (400, true)] {
            let resources: Vec<Resource> =
                (0..count).map(|number| volume(&format!("vol-{number}"), 8, "gp3")).collect();
            let mut packer = Packer::default();
            resources.iter().for_each(|resource| packer.add(resource, None).unwrap());
            let blob = packer.finish().unwrap();
            assert_eq!(blob.starts_with(&GZIP), packed, "{count}");
            let lines = unpack(&blob).unwrap();
            assert!(lines.into_iter().map(|line| line.resource).eq(resources), "{count}");
            assert!(unpack(&blob[..blob.len() / 2]).is_err(), "half a blob is an error and not a short night");
        }
    }
}
