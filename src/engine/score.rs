//! The fold over one scan: who was judged, who violates, by policy and by team (C2, C6, C7).
//!
//! Filled only from trusted partitions. A resource counts once in the score, however many rules judge it; Unknown and
//! watched verdicts are counted beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reconcile::CountsAs;
use crate::domain::place::Partition;
use crate::domain::report::Score;
use crate::domain::resource::Resource;

/// The team of resources without the team tag (C7).
pub const UNTAGGED: &str = "untagged";
/// Most teams that are told apart; the rest is summed as [`OTHER_TEAMS`], so that a tag with a value per resource
/// cannot grow the summary without bound.
pub const MAX_TEAMS: usize = 500;
/// Name of the rest.
pub const OTHER_TEAMS: &str = "(other teams)";

/// Counts of one scan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScanSummary {
    /// Resources that some rule judged compliant or violating.
    pub applicable: u64,
    /// Of those, with an open finding.
    pub violating: u64,
    /// Of those, violating under exceptions alone.
    pub excepted: u64,
    /// Watched verdicts.
    pub watching: u64,
    /// Unknown verdicts by check.
    pub unknown: BTreeMap<String, u64>,
    /// By policy name; policies without a finding are listed too.
    pub by_policy: BTreeMap<String, PolicyCount>,
    /// By team; foreign text.
    pub by_team: BTreeMap<String, TeamCount>,
    /// Resources by `account/kind`, for pace and breaker.
    pub totals: BTreeMap<String, u64>,
}

/// Counts of one policy over resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyCount {
    /// Judged compliant, violating or excepted.
    pub applicable: u64,
    /// With an open finding of it.
    pub violating: u64,
    /// Excepted from it.
    pub excepted: u64,
}

/// Counts of one team.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamCount {
    /// Its judged resources.
    pub total: u64,
    /// Of those, with an open finding.
    pub violating: u64,
    /// Open findings.
    pub violations: u64,
}

impl ScanSummary {
    /// The score, or `None` without data.
    pub fn score(&self) -> Option<Score> {
        Score::of(self.applicable, self.violating)
    }

    /// Notes that a policy exists, so that it is listed at 100 % without a finding.
    pub fn policy(&mut self, name: &str) {
        self.by_policy.entry(name.to_owned()).or_default();
    }

    /// Adds the number of resources of one trusted partition.
    pub fn partition(&mut self, partition: &Partition, resources: u64) {
        *self.totals.entry(total_key(partition.place.account.as_str(), partition.kind.name())).or_default() +=
            resources;
    }

    /// How many resources of a kind an account has.
    pub fn total(&self, account: &str, kind: &str) -> u64 {
        self.totals.get(&total_key(account, kind)).copied().unwrap_or(0)
    }

    /// Adds the counts of another part of the same scan.
    pub fn merge(&mut self, other: ScanSummary) {
        self.applicable += other.applicable;
        self.violating += other.violating;
        self.excepted += other.excepted;
        self.watching += other.watching;
        for (check, count) in other.unknown {
            *self.unknown.entry(check).or_default() += count;
        }
        for (policy, count) in other.by_policy {
            let row = self.by_policy.entry(policy).or_default();
            row.applicable += count.applicable;
            row.violating += count.violating;
            row.excepted += count.excepted;
        }
        for (team, count) in other.by_team {
            let row = self.team(&team);
            row.total += count.total;
            row.violating += count.violating;
            row.violations += count.violations;
        }
        for (key, count) in other.totals {
            *self.totals.entry(key).or_default() += count;
        }
    }

    /// Adds one resource with what its rules count as.
    pub fn resource<'v>(
        &mut self,
        resource: &Resource,
        team_tag: &str,
        verdicts: impl IntoIterator<Item = (&'v str, &'v str, CountsAs)>,
    ) {
        let (mut judged, mut violations, mut excepted) = (false, 0, false);
        // A handful: a list is searched sooner than a map is built.
        let mut policies: Vec<(&str, Marks)> = Vec::new();
        for (policy, check, counts_as) in verdicts {
            let mark = match counts_as {
                CountsAs::NotApplicable => continue,
                CountsAs::Unknown => {
                    *row(&mut self.unknown, check) += 1;
                    continue;
                }
                CountsAs::Watching => {
                    self.watching += 1;
                    continue;
                }
                CountsAs::Compliant => Marks::default(),
                CountsAs::Excepted => {
                    excepted = true;
                    Marks { excepted: true, ..Marks::default() }
                }
                CountsAs::Violating => {
                    violations += 1;
                    Marks { violating: true, ..Marks::default() }
                }
            };
            judged = true;
            match policies.iter_mut().find(|(name, _)| *name == policy) {
                Some((_, marks)) => marks.add(mark),
                None => policies.push((policy, mark)),
            }
        }
        if !judged {
            return;
        }
        self.applicable += 1;
        self.violating += u64::from(violations > 0);
        self.excepted += u64::from(violations == 0 && excepted);
        for (policy, marks) in policies {
            let count = row(&mut self.by_policy, policy);
            count.applicable += 1;
            count.violating += u64::from(marks.violating);
            count.excepted += u64::from(!marks.violating && marks.excepted);
        }
        let team = resource.tag(team_tag).filter(|value| !value.is_empty()).unwrap_or(UNTAGGED);
        let row = self.team(team);
        row.total += 1;
        row.violating += u64::from(violations > 0);
        row.violations += violations;
    }
}

impl ScanSummary {
    fn team(&mut self, team: &str) -> &mut TeamCount {
        let known = self.by_team.len() < MAX_TEAMS || self.by_team.contains_key(team);
        row(&mut self.by_team, if known { team } else { OTHER_TEAMS })
    }
}

/// What one policy's rules say about one resource.
#[derive(Clone, Copy, Default)]
struct Marks {
    violating: bool,
    excepted: bool,
}

impl Marks {
    fn add(&mut self, other: Marks) {
        self.violating |= other.violating;
        self.excepted |= other.excepted;
    }
}

/// A map's row, begun when it is not there; makes no key for one that is.
fn row<'m, T: Default>(map: &'m mut BTreeMap<String, T>, key: &str) -> &'m mut T {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), T::default());
    }
    map.get_mut(key).expect("it has just been put there")
}

fn total_key(account: &str, kind: &str) -> String {
    format!("{account}/{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::instance;

    #[test]
    fn c2_unknown_and_watched_verdicts_are_in_neither_number() {
        let mut summary = ScanSummary::default();
        let resource = instance("i-1", "m5.large", 1);
        summary.resource(&resource, "team", [("p", "c", CountsAs::Unknown), ("p", "d", CountsAs::Watching)]);
        assert_eq!(summary.score(), None);
        assert_eq!((summary.unknown["c"], summary.watching), (1, 1));
        summary.resource(&resource, "team", [("p", "c", CountsAs::Compliant)]);
        summary.resource(&resource, "team", [("p", "c", CountsAs::Violating), ("q", "c", CountsAs::Violating)]);
        let score = summary.score().unwrap();
        assert_eq!((score.applicable, score.violating, score.percent), (2, 1, 50.0));
    }

    #[test]
    fn c5_an_exception_for_one_policy_hides_nothing_of_another() {
        let mut summary = ScanSummary::default();
        let resource = instance("i-1", "m5.large", 1);
        summary.resource(&resource, "team", [("p", "c", CountsAs::Excepted), ("q", "c", CountsAs::Violating)]);
        assert_eq!((summary.violating, summary.excepted), (1, 0));
        assert_eq!(summary.by_policy["p"], PolicyCount { applicable: 1, violating: 0, excepted: 1 });
        assert_eq!(summary.by_policy["q"], PolicyCount { applicable: 1, violating: 1, excepted: 0 });
    }

    #[test]
    fn c6_a_policy_without_a_finding_is_listed() {
        let mut summary = ScanSummary::default();
        summary.policy("quiet");
        assert_eq!(summary.by_policy["quiet"], PolicyCount::default());
    }

    #[test]
    fn c7_a_resource_without_the_team_tag_is_untagged() {
        let mut summary = ScanSummary::default();
        summary.resource(&instance("i-1", "m5.large", 1), "cost-center", [("p", "c", CountsAs::Violating)]);
        assert_eq!(summary.by_team[UNTAGGED], TeamCount { total: 1, violating: 1, violations: 1 });
    }
}
