//! The ledger of faults (docs/faults.md): each kind names its layer, where it is reached, and how often.
//!
//! What the simulator plays is counted by the campaign, whose words the ledger names. What the wire and the real program
//! meet is counted by the tests themselves: each ends in [`reached`], which fails when its fault was met less often than
//! the ledger says. The modules here hold the faults of settings, state files and messages; those of the network and of
//! the acting program stand in `wire` and `process`.

mod messages;
mod places;
mod settings;
mod state;

use std::collections::BTreeSet;

use regex::Regex;

use crate::tidy::{root, rust_files};

const LEDGER: &str = include_str!("../../../docs/faults.md");
const CAMPAIGN: &str = include_str!("../../campaign/kinds.rs");

/// The parts of the ledger, and how many kinds each has.
const PARTS: [(&str, usize); 10] = [
    ("Network", 15),
    ("AWS", 39),
    ("Disk", 8),
    ("Clock", 9),
    ("Workers", 7),
    ("Mail and webhooks", 11),
    ("Settings", 9),
    ("Database", 8),
    ("People", 6),
    ("Process", 6),
];

/// How often each layer must reach a kind.
const LEAST: [(&str, usize); 3] = [("sim", 1_000), ("wire", 20), ("process", 3)];

struct Row {
    part: String,
    kind: String,
    layer: String,
    places: Vec<String>,
    times: usize,
}

fn rows() -> Vec<Row> {
    let row = Regex::new(r"^\| ([^|]+?) \| (sim|wire|process) \| ([^|]+?) \| ([\d,]+|none yet) \|$").unwrap();
    let place = Regex::new("`([^`]+)`").unwrap();
    let (mut rows, mut part) = (Vec::new(), String::new());
    for line in LEDGER.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            part = name.to_owned();
        } else if line.starts_with("| ") && !line.starts_with("| Kind ") {
            let found = row.captures(line).unwrap_or_else(|| panic!("docs/faults.md: no row of the ledger: {line}"));
            rows.push(Row {
                part: part.clone(),
                kind: found[1].to_owned(),
                layer: found[2].to_owned(),
                places: place.captures_iter(&found[3]).map(|own| own[1].to_owned()).collect(),
                times: found[4].replace(',', "").parse().unwrap_or(0),
            });
        }
    }
    rows
}

/// A kind of fault was met so many times by the test that calls this: as often as the ledger says, or more.
pub fn reached(kind: &str, times: usize) {
    let rows = rows();
    let row = rows.iter().find(|row| row.kind == kind).unwrap_or_else(|| panic!("docs/faults.md has no {kind:?}"));
    eprintln!("fault={kind:?} layer={} reached={times} claimed={}", row.layer, row.times);
    assert!(times >= row.times, "{kind:?} was met {times} times, docs/faults.md says {}", row.times);
}

fn words() -> BTreeSet<String> {
    let word = Regex::new(r#"(?m)^    \w+ = "([a-z0-9-]+)",$"#).unwrap();
    word.captures_iter(CAMPAIGN).map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_ledger_has_each_of_118_kinds_of_faults_once_with_its_layer() {
    let rows = rows();
    let counted: Vec<(&str, usize)> =
        PARTS.iter().map(|(part, _)| (*part, rows.iter().filter(|row| row.part == *part).count())).collect();
    assert_eq!(counted, PARTS);
    assert_eq!(rows.len(), 118);
    let kinds: BTreeSet<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(kinds.len(), rows.len(), "a kind stands there twice");
    for row in &rows {
        let least = LEAST.iter().find(|(layer, _)| *layer == row.layer).expect("the pattern has these layers alone").1;
        assert!(row.times >= least, "{}: {} times is less than {least}", row.kind, row.times);
    }
    eprintln!("faults={} layers={LEAST:?}", rows.len());
}

#[test]
fn every_kind_of_fault_is_reached_by_a_test_that_counts_it_or_by_the_campaign() {
    let words = words();
    let sources: Vec<_> = ["src", "tests"].into_iter().flat_map(|own| rust_files(&root().join(own))).collect();
    assert!(words.len() >= 79, "{words:?}");
    let mut wrong = Vec::new();
    for row in rows() {
        let mut counted = false;
        for place in &row.places {
            let test = Regex::new(&format!(r"fn {}\(\)", regex::escape(place))).unwrap();
            let in_campaign = words.contains(place);
            let file = sources.iter().find(|own| test.is_match(&own.text));
            if !in_campaign && file.is_none() {
                wrong.push(format!("{}: there is no test and no kind of the campaign {place:?}", row.kind));
            }
            // The campaign fails by itself when one of its kinds is reached less often than its layer asks.
            counted |= in_campaign && row.layer == "sim";
            let named = format!("\"{}\"", row.kind);
            counted |= file.is_some_and(|own| own.text.contains("reached(") && own.text.contains(&named));
        }
        if !counted {
            wrong.push(format!("{}: none of {:?} counts it", row.kind, row.places));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
