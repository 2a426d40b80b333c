//! GetMetricData as CloudWatch speaks it: Smithy RPC v2 CBOR, as many points as asked for, whole answers.
//!
//! Reads no more of CBOR than the SDK writes and writes no more than the SDK reads.

use super::account::{idle, mix};

/// The path of the operation.
pub const PATH: &str = "/service/GraniteServiceVersion20100801/operation/GetMetricData";

#[derive(Default)]
struct Query<'a> {
    id: &'a str,
    resource: &'a str,
    metric: &'a str,
    statistic: &'a str,
    period: f64,
}

/// The answer to one request; `None` when the request cannot be read.
pub fn answer(request: &[u8]) -> Option<Vec<u8>> {
    let (mut queries, mut from, mut to) = (Vec::new(), 0.0, 0.0);
    let mut reader = Reader { bytes: request, at: 0 };
    reader.map(|key, reader| {
        match key {
            "MetricDataQueries" => {
                reader.list(|reader| {
                    queries.push(query(reader)?);
                    Some(())
                })?;
            }
            "StartTime" => from = reader.number()?,
            "EndTime" => to = reader.number()?,
            _ => reader.skip()?,
        }
        Some(())
    })?;
    let mut out = Vec::with_capacity(queries.len() * 160);
    head(&mut out, 5, 1);
    text(&mut out, "MetricDataResults");
    head(&mut out, 4, queries.len() as u64);
    for query in &queries {
        result(&mut out, query, from, to)?;
    }
    Some(out)
}

fn query<'a>(reader: &mut Reader<'a>) -> Option<Query<'a>> {
    let mut query = Query::default();
    reader.map(|key, reader| {
        match key {
            "Id" => query.id = reader.text()?,
            "MetricStat" => reader.map(|key, reader| {
                match key {
                    "Period" => query.period = reader.number()?,
                    "Stat" => query.statistic = reader.text()?,
                    "Metric" => reader.map(|key, reader| {
                        match key {
                            "MetricName" => query.metric = reader.text()?,
                            "Dimensions" => reader.list(|reader| {
                                reader.map(|key, reader| {
                                    match key {
                                        "Value" => query.resource = reader.text()?,
                                        _ => reader.skip()?,
                                    }
                                    Some(())
                                })
                            })?,
                            _ => reader.skip()?,
                        }
                        Some(())
                    })?,
                    _ => reader.skip()?,
                }
                Some(())
            })?,
            _ => reader.skip()?,
        }
        Some(())
    })?;
    Some(query)
}

/// One series, oldest point first.
fn result(out: &mut Vec<u8>, query: &Query<'_>, from: f64, to: f64) -> Option<()> {
    let count = ((to - from) / query.period).max(0.0) as u64;
    let digits = u64::from_str_radix(query.resource.strip_prefix("i-0")?, 16).ok()?;
    head(out, 5, 5);
    text(out, "Id");
    text(out, query.id);
    text(out, "Label");
    text(out, query.metric);
    text(out, "Timestamps");
    head(out, 4, count);
    for point in 0..count {
        head(out, 6, 1);
        double(out, from + point as f64 * query.period);
    }
    text(out, "Values");
    head(out, 4, count);
    for point in 0..count {
        double(out, value(query, digits, point));
    }
    text(out, "StatusCode");
    text(out, "Complete");
    Some(())
}

/// Idle instances stay far below every limit of the check, the others far above one of them.
fn value(query: &Query<'_>, digits: u64, point: u64) -> f64 {
    let series = query.metric.bytes().chain(query.statistic.bytes()).fold(40, |sum, byte| sum + u64::from(byte));
    // Fifty-three random bits: as many digits as real averages have.
    let share = (mix(series, digits ^ (point << 32)) >> 11) as f64 / (1_u64 << 53) as f64;
    let idle = idle(digits);
    match (query.metric, query.statistic) {
        ("CPUUtilization", "Average") => share * if idle { 3.0 } else { 60.0 } + if idle { 0.1 } else { 6.0 },
        ("CPUUtilization", "Maximum") => share * 8.0 + 1.0,
        (_, "SampleCount") => 12.0,
        ("NetworkIn" | "NetworkOut", _) => (share * if idle { 200_000.0 } else { 4e9 }).round() + 1_000.0,
        _ => (share * 500.0).round(),
    }
}

/// A cursor over CBOR; every method gives `None` where the bytes are something else.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Major type and argument; no argument is "until the break".
    fn head(&mut self) -> Option<(u8, Option<u64>)> {
        let first = self.take(1)?[0];
        let argument = match first & 31 {
            small @ 0..=23 => Some(u64::from(small)),
            size @ 24..=27 => {
                let bytes = self.take(1 << (size - 24))?;
                Some(bytes.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
            }
            31 => None,
            _ => return None,
        };
        Some((first >> 5, argument))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        match self.head()? {
            (3, Some(length)) => std::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok(),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<f64> {
        let start = self.at;
        match self.head()? {
            (6, _) => self.number(),
            (0, Some(value)) => Some(value as f64),
            (7, Some(bits)) if self.at - start == 9 => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// Calls `each` once for each entry of a map; it reads the value.
    fn map(&mut self, mut each: impl FnMut(&'a str, &mut Reader<'a>) -> Option<()>) -> Option<()> {
        self.entries(5, |reader| {
            let key = reader.text()?;
            each(key, reader)
        })
    }

    /// Calls `each` once for each item of a list; it reads the item.
    fn list(&mut self, each: impl FnMut(&mut Reader<'a>) -> Option<()>) -> Option<()> {
        self.entries(4, each)
    }

    fn entries(&mut self, major: u8, mut each: impl FnMut(&mut Reader<'a>) -> Option<()>) -> Option<()> {
        let (found, count) = self.head()?;
        if found != major {
            return None;
        }
        let mut left = count;
        loop {
            match &mut left {
                Some(0) => return Some(()),
                Some(more) => *more -= 1,
                None if self.bytes.get(self.at) == Some(&0xff) => {
                    self.at += 1;
                    return Some(());
                }
                None => {}
            }
            each(self)?;
        }
    }

    fn skip(&mut self) -> Option<()> {
        let start = self.at;
        match self.head()? {
            (0 | 1 | 7, _) => Some(()),
            (2 | 3, Some(length)) => self.take(usize::try_from(length).ok()?).map(|_| ()),
            (6, _) => self.skip(),
            (4, _) => {
                self.at = start;
                self.list(Reader::skip)
            }
            (5, _) => {
                self.at = start;
                self.map(|_, reader| reader.skip())
            }
            _ => None,
        }
    }
}

fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    match argument {
        0..=23 => out.push((major << 5) | argument as u8),
        24..=0xff => out.extend([(major << 5) | 24, argument as u8]),
        0x100..=0xffff => {
            out.push((major << 5) | 25);
            out.extend((argument as u16).to_be_bytes());
        }
        _ => {
            out.push((major << 5) | 27);
            out.extend(argument.to_be_bytes());
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    head(out, 3, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn double(out: &mut Vec<u8>, value: f64) {
    out.push((7 << 5) | 27);
    out.extend(value.to_be_bytes());
}
