//! The points that a crash must have been played at, as data: what the crowds reach is compared with it, line by line.
//!
//! `points.txt` is sorted. A line is an act and a point of its undisturbed walk, of a detour of it (`lost:J10.call`), or of
//! what comes before its row (`J1.call`).

use std::collections::BTreeMap;

use super::pairs::BETWEEN;

/// The list.
pub fn expected() -> Vec<&'static str> {
    include_str!("points.txt").lines().filter(|line| !line.is_empty()).collect()
}

/// A point of the finding's own phases.
pub fn early(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(_, point)| ["J0.", "J1.", "J2."].iter().any(|own| point.starts_with(own)))
}

/// A point of a detour.
pub fn led(line: &str) -> bool {
    line.contains(':')
}

/// Single points of a tally, and how often something died there.
pub fn singles(crashes: &BTreeMap<String, u64>) -> BTreeMap<&str, u64> {
    let single = |key: &&String| !key.ends_with(" pair") && !key.contains(BETWEEN);
    crashes.iter().filter(|(key, _)| single(key)).map(|(key, count)| (key.as_str(), *count)).collect()
}

/// What is on the list and was not reached, and what was reached and is not on the list.
pub fn compare<'t>(reached: &BTreeMap<&'t str, u64>) -> (Vec<&'static str>, Vec<&'t str>) {
    let expected = expected();
    let missing = expected.iter().copied().filter(|line| !reached.contains_key(line)).collect();
    (missing, reached.keys().copied().filter(|line| expected.binary_search(line).is_err()).collect())
}
