//! The price book that the program carries: list prices of one Region with their date and source.
//!
//! `app` asks for [`embedded`] once and hands the book to checks and reports. What is not in the list is not in the
//! book: an unknown instance type, provisioned operations of io1 and io2, Windows and spot have no price here,
//! and `domain::price` answers `None` for them. Refreshing from the Price List API is not done yet.

use std::collections::HashMap;
use std::sync::OnceLock;

use chrono::NaiveDate;
use serde::Deserialize;

use crate::domain::money::Rate;
use crate::domain::place::Region;
use crate::domain::price::{PriceBook, TypeSpec};
use crate::domain::text::{Interner, Str};

/// The instance list; its first lines name its sources.
const INSTANCE_TYPES: &str = include_str!("ec2-us-east-1.csv");
/// The Region that the list is of.
const REGION: &str = "us-east-1";
/// When the list was generated; its header says the same.
const DATE: NaiveDate = match NaiveDate::from_ymd_opt(2026, 7, 20) {
    Some(date) => date,
    None => panic!("2026-07-20 is a date"),
};
const SOURCE: &str = "AWS Price List (instances as published in aws/karpenter-provider-aws)";

/// AWS's list prices for us-east-1 of a GB-month, by volume type. The other types' prices are not known here.
const VOLUME_GB_MONTH: [(&str, &str); 5] =
    [("gp3", "0.08"), ("gp2", "0.10"), ("io1", "0.125"), ("io2", "0.125"), ("st1", "0.045")];
/// AWS's list price for us-east-1 of a provisioned operation a second above gp3's 3,000, a month.
const GP3_IOPS_MONTH: &str = "0.005";
/// The same for a MiB a second above gp3's 125.
const GP3_THROUGHPUT_MONTH: &str = "0.04";
/// A GB-month of snapshot storage, standard tier.
const SNAPSHOT_GB_MONTH: &str = "0.05";
/// A GB-month of snapshot storage, archive tier (at least 90 days are billed).
const SNAPSHOT_ARCHIVE_GB_MONTH: &str = "0.0125";
/// A public IPv4 address, an hour.
const PUBLIC_IPV4_HOUR: &str = "0.005";

/// A price list that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The file is not what it should be.
    #[error("price list {file}, line {line}: {problem}")]
    List {
        /// Which list.
        file: String,
        /// Line in it, from 1; 0 when the reader could not tell.
        line: u64,
        /// What is wrong and what is accepted.
        problem: String,
    },
    /// A unit price is no decimal.
    #[error("unit price of {what}: {given:?} is no price; accepted: a decimal of dollars such as 0.0416")]
    Unit {
        /// Of what.
        what: String,
        /// What was given.
        given: String,
    },
    /// The same instance type stands twice.
    #[error("price list {file}, line {line}: instance type {name} stands twice")]
    Twice {
        /// Which list.
        file: String,
        /// The second line.
        line: u64,
        /// The type.
        name: String,
    },
}

/// One line of the list; an empty cell is unknown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    instance_type: String,
    vcpus: Option<u32>,
    memory_mib: Option<u64>,
    arch: Option<String>,
    #[serde(rename = "current_generation")]
    _current_generation: Option<bool>,
    gpus: Option<u32>,
    #[serde(rename = "bare_metal")]
    _bare_metal: Option<bool>,
    #[serde(rename = "burstable")]
    _burstable: Option<bool>,
    instance_storage: Option<bool>,
    usd_per_hour: Option<String>,
}

/// The book inside the program: us-east-1 list prices of 2026-07-20. Read once and kept.
pub fn embedded() -> Result<PriceBook, PriceError> {
    static BOOK: OnceLock<Result<PriceBook, PriceError>> = OnceLock::new();
    BOOK.get_or_init(|| book(INSTANCE_TYPES, "ec2-us-east-1.csv")).clone()
}

fn book(list: &str, file: &str) -> Result<PriceBook, PriceError> {
    let problem =
        |error: &dyn std::fmt::Display| PriceError::List { file: file.into(), line: 0, problem: error.to_string() };
    Ok(PriceBook {
        region: Region::new(REGION).map_err(|error| problem(&error))?,
        date: DATE,
        source: Str::from(SOURCE),
        types: instance_types(list, file)?,
        volume_gb_month: VOLUME_GB_MONTH
            .into_iter()
            .map(|(name, price)| Ok((Str::from(name), rate(name, price)?)))
            .collect::<Result<_, PriceError>>()?,
        volume_iops_month: HashMap::from([(Str::from("gp3"), rate("gp3 operations", GP3_IOPS_MONTH)?)]),
        volume_throughput_month: HashMap::from([(Str::from("gp3"), rate("gp3 throughput", GP3_THROUGHPUT_MONTH)?)]),
        snapshot_gb_month: rate("snapshot storage", SNAPSHOT_GB_MONTH)?,
        snapshot_archive_gb_month: rate("archived snapshot storage", SNAPSHOT_ARCHIVE_GB_MONTH)?,
        public_ipv4_hour: rate("a public IPv4 address", PUBLIC_IPV4_HOUR)?,
        by_series: Default::default(),
    })
}

fn instance_types(list: &str, file: &str) -> Result<HashMap<Str, TypeSpec>, PriceError> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(list.as_bytes());
    let headers = reader.headers().map_err(|error| bad_line(file, None, &error))?.clone();
    let mut names = Interner::default();
    let mut types = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| bad_line(file, Some(&headers), &error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let row: Row = record.deserialize(Some(&headers)).map_err(|error| bad_line(file, Some(&headers), &error))?;
        let hourly = row.usd_per_hour.map(|text| rate(&row.instance_type, &text)).transpose()?;
        let spec = TypeSpec {
            vcpus: row.vcpus,
            memory_mib: row.memory_mib,
            arch: row.arch.map(|arch| names.intern(&arch)),
            gpus: row.gpus,
            instance_storage: row.instance_storage,
            hourly,
        };
        if types.insert(names.intern(&row.instance_type), spec).is_some() {
            return Err(PriceError::Twice { file: file.into(), line, name: row.instance_type });
        }
    }
    Ok(types)
}

fn bad_line(file: &str, headers: Option<&csv::StringRecord>, error: &csv::Error) -> PriceError {
    let problem = match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => {
            let column = err.field().and_then(|field| headers?.get(usize::try_from(field).ok()?));
            format!("column {}: {}", column.unwrap_or("?"), err.kind())
        }
        _ => error.to_string(),
    };
    PriceError::List { file: file.into(), line: error.position().map_or(0, csv::Position::line), problem }
}

/// A price is a positive decimal; a zero would be an unknown in disguise.
fn rate(what: &str, text: &str) -> Result<Rate, PriceError> {
    Rate::parse(text)
        .filter(|rate| rate.0 > 0)
        .ok_or_else(|| PriceError::Unit { what: what.into(), given: text.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Usd;

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    #[test]
    fn known_prices_are_exact() {
        let book = embedded().unwrap();
        let home = region("us-east-1");
        for (name, monthly) in
            [("t3.medium", "30.368"), ("m5.large", "70.08"), ("m5.4xlarge", "560.64"), ("t3.micro", "7.592")]
        {
            let priced = book.instance_month(name, &home).unwrap();
            assert_eq!((priced.monthly, priced.estimate), (Usd::parse(monthly).unwrap(), false), "{name}");
        }
        assert_eq!(book.volume_month("gp2", 100, None, None, &home).unwrap().monthly, Usd::dollars(10));
        assert_eq!(book.volume_month("gp3", 50, Some(3_000), Some(125), &home).unwrap().monthly, Usd::dollars(4));
        let fast = book.volume_month("gp3", 100, Some(6_000), Some(250), &home).unwrap().monthly;
        assert_eq!(fast, Usd::dollars(8 + 15 + 5), "what is above 3,000 and 125 has its own price");
        assert_eq!(book.snapshot_month(80, &home).monthly, Usd::dollars(4));
        assert_eq!(book.address_month(&home).monthly, Usd::parse("3.65").unwrap());
    }

    #[test]
    fn what_the_list_does_not_name_has_no_price() {
        let book = embedded().unwrap();
        let home = region("us-east-1");
        assert_eq!(book.instance_month("m99.colossal", &home), None);
        assert_eq!(book.volume_month("io2", 100, Some(1_000), None, &home), None, "operations have no rate here");
        assert_eq!(book.volume_month("sc1", 100, None, None, &home), None);
    }

    #[test]
    fn an_empty_cell_is_unknown_and_not_zero() {
        let book = embedded().unwrap();
        let old = &book.types["cr1.8xlarge"];
        assert_eq!((old.gpus, old.instance_storage), (None, None));
        assert_eq!(book.types["m5.large"].gpus, Some(0));
        assert_eq!(book.types["m5d.large"].instance_storage, Some(true));
        assert_eq!((book.types["m5.large"].vcpus, book.types["m5.large"].memory_mib), (Some(2), Some(8_192)));
    }

    #[test]
    fn the_whole_list_is_there_with_its_date_and_source() {
        let book = embedded().unwrap();
        assert_eq!(book.types.len(), 1_363);
        assert!(book.types.values().all(|spec| spec.hourly.is_some()));
        assert!(INSTANCE_TYPES.contains(&format!("generated {}", book.date)), "the header names the same date");
        assert!(book.instance_month("m5.large", &region("eu-central-1")).unwrap().estimate);
        assert!(book.provenance().starts_with("us-east-1 list prices of 2026-07-20"), "{}", book.provenance());
    }

    #[test]
    fn a_broken_list_says_which_line() {
        let head = "instance_type,vcpus,memory_mib,arch,current_generation,gpus,bare_metal,burstable,\
                    instance_storage,usd_per_hour\n";
        let good = "a1.large,2,4096,arm64,false,0,false,false,false,0.051\n";
        assert_eq!(instance_types(&format!("# from x\n{head}{good}"), "x.csv").unwrap().len(), 1);

        let wrong = format!("# from x\n{head}{good}b1.large,two,4096,arm64,false,0,false,false,false,0.051\n");
        let error = instance_types(&wrong, "x.csv").unwrap_err().to_string();
        assert!(error.contains("x.csv, line 4") && error.contains("vcpus"), "{error}");

        let twice = instance_types(&format!("{head}{good}{good}"), "x.csv").unwrap_err();
        assert_eq!(twice, PriceError::Twice { file: "x.csv".into(), line: 3, name: "a1.large".into() });

        let free = instance_types(&format!("{head}{}", good.replace("0.051", "0")), "x.csv").unwrap_err().to_string();
        assert!(free.contains("a1.large") && free.contains("\"0\""), "{free}");
    }
}
