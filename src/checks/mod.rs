//! Waste checks, one file each: id, title, why it costs money, parameters, evidence, logic, tests.
//!
//! `engine` builds a judge per rule and asks it about one resource at a time. A check is pure: what it may look at is
//! its `Subject`. It answers `Unknown` exactly when the outcome depends on something unknown, and it never turns a
//! missing value into a number. A new check is its file and two lines here: `mod` and its row in [`ALL`].

use crate::domain::check::{CheckInfo, Params, Subject, Verdict};

pub mod gp2_volume;
pub mod idle_instance;
pub mod off_hours_instance;
pub mod old_snapshot;
pub mod oversized_instance;
pub mod oversized_volume;
pub mod required_tags;
pub mod unassociated_address;
pub mod unattached_volume;

/// Every check, in the order in which they outrank each other for one resource: the first that holds owns the savings
/// and the act.
pub static ALL: &[Check] = &[
    Check { info: &idle_instance::INFO, build: Some(idle_instance::build) },
    Check { info: &unattached_volume::INFO, build: Some(unattached_volume::build) },
    Check { info: &oversized_instance::INFO, build: None },
    Check { info: &oversized_volume::INFO, build: None },
    Check { info: &off_hours_instance::INFO, build: None },
    Check { info: &gp2_volume::INFO, build: Some(gp2_volume::build) },
    Check { info: &unassociated_address::INFO, build: Some(unassociated_address::build) },
    Check { info: &old_snapshot::INFO, build: Some(old_snapshot::build) },
    Check { info: &required_tags::INFO, build: None },
];

/// A check's page and how to build its judge.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its own page.
    pub info: &'static CheckInfo,
    /// From parameters; `None` where the judge is built from a typed document (limits, required tags).
    pub build: Option<Build>,
}

/// Makes a judge from a rule's parameters.
pub type Build = fn(&Params) -> Box<dyn Judge>;

/// Judges one resource at a time.
pub trait Judge: Send + Sync {
    /// The verdict on one subject.
    fn judge(&self, subject: &Subject<'_>) -> Verdict;

    /// Full days of metrics that it looks at; `None` when it reads none.
    fn usage_days(&self) -> Option<u32> {
        None
    }
}

/// The check with an id.
pub fn find(id: &str) -> Option<&'static Check> {
    ALL.iter().find(|check| check.info.id == id)
}

/// Every check's own page, for the policy loader.
pub fn infos() -> Vec<&'static CheckInfo> {
    ALL.iter().map(|check| check.info).collect()
}

/// Where a check stands in [`ALL`]; lower goes first.
pub fn rank(id: &str) -> usize {
    ALL.iter().position(|check| check.info.id == id).unwrap_or(ALL.len())
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_its_own_id_and_sound_parameters() {
        let mut ids: Vec<&str> = ALL.iter().map(|check| check.info.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ALL.len());
        for check in ALL {
            for param in check.info.params {
                assert!(param.min <= param.default && param.default <= param.max, "{}.{}", check.info.id, param.name);
                assert!(!param.whole || param.default.fract() == 0.0, "{}.{}", check.info.id, param.name);
            }
            for kind in check.info.kinds {
                assert!(
                    crate::domain::finding::Act::of(check.info.action, *kind).is_some()
                        || check.info.action == crate::domain::finding::Action::Report,
                    "{} cannot do its own action",
                    check.info.id
                );
            }
        }
    }
}
