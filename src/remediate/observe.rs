//! J9 to J10: reads that decide what a call did.
//!
//! Never a second call. A stop counts when `stopped` is seen. A delete counts after a definite answer and two reads
//! that do not find the volume; without an answer, after three such reads over ten minutes. The old state in three reads
//! over ten minutes, anything else for fifteen, or an hour without a usable read is Stuck: everything freezes and a
//! person decides. A failed read says nothing and counts for nothing.

use chrono::TimeDelta;

use super::actions::Recipe;
use super::driver::Next;
use super::recheck::read_one;
use super::{Interrupted, Remediator, Run};
use crate::cloud::{CloudError, ErrorKind};
use crate::domain::finding::Act;
use crate::domain::remediation::{JournalState, Look, Remediation};
use crate::domain::text::clean;

/// Reads in a row that must agree before an unwelcome answer counts.
pub(super) const LOOKS: u32 = 3;

/// How long they must agree.
const AGREE: TimeDelta = TimeDelta::minutes(10);

/// How long something may be on its way.
const ON_ITS_WAY: TimeDelta = TimeDelta::minutes(15);

/// How long nothing may be readable.
pub(super) const BLIND: TimeDelta = TimeDelta::minutes(60);

/// How far apart the two reads of a deletion are, at least.
const APART: TimeDelta = TimeDelta::seconds(5);

/// What the reads so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The effect was seen.
    Effect(String),
    /// Look again.
    NotYet,
    /// A person must look.
    Stuck(String),
}

impl Remediator {
    /// One look, and what follows.
    pub(super) async fn observe(&self, remediation: &mut Remediation, run: &Run) -> Result<Next, Interrupted> {
        let key = remediation.step.key.clone();
        let Some(action) = self.action(remediation) else {
            return self.stuck(remediation, "this version has no handler for it", run).await;
        };
        let since = remediation.updated_at;
        let read = match read_one(&*self.tools.read, remediation.step.act, &key).await {
            Err(error) if error.kind == ErrorKind::NotFound => self.gone(remediation).await.map(Err),
            other => other.map(Ok),
        };
        let (look, words) = match read {
            Ok(Err(gone)) => gone,
            Ok(Ok(resource)) if resource.key == key => {
                let look = (action.look)(remediation, &resource);
                (look, format!("seen in state {:?}", clean(resource.state())))
            }
            Ok(Ok(other)) => {
                let why = format!("asked for {key}, the cloud answered {}", other.key);
                return self.stuck(remediation, &why, run).await;
            }
            Err(error) => {
                if self.tools.clock.now() - since >= BLIND {
                    let why = format!("its state could not be read for an hour: {error}");
                    return self.stuck(remediation, &why, run).await;
                }
                return self.wait(remediation, since, &format!("its state could not be read: {error}"), run);
            }
        };
        self.tools.halt.pass("J10.call").await?;
        let now = self.tools.clock.now();
        if remediation.last_look == Some(look) {
            remediation.looks += 1;
        } else {
            (remediation.looks, remediation.first_look_at, remediation.last_look) = (1, Some(now), Some(look));
        }
        let steady = now - remediation.first_look_at.unwrap_or(now);
        let answered = remediation.state == JournalState::Answered;
        match seen(look, answered, action.ends_gone, remediation.looks, steady, now - since) {
            Seen::Effect(effect) => {
                let words = format!("{effect}, {words}");
                self.commit(remediation, JournalState::Observed, &words, run).await?;
                Ok(Next::Go)
            }
            Seen::NotYet => {
                let words = format!("waiting for the effect: {words}, {} reads in a row", remediation.looks);
                self.wait(remediation, since, &words, run)
            }
            Seen::Stuck(why) => {
                let why = format!("{why}: {words} in {} reads", remediation.looks);
                self.stuck(remediation, &why, run).await
            }
        }
    }

    /// What it means that the resource is not found. A snapshot must be in the Recycle Bin: the recipe notes until when.
    async fn gone(&self, remediation: &mut Remediation) -> Result<(Look, String), CloudError> {
        if remediation.step.act != Act::DeleteSnapshot {
            return Ok((Look::Gone, "not found".to_owned()));
        }
        let Some(until) = self.tools.read.recycled(&remediation.step.key).await? else {
            return Ok((Look::Gone, "not found, and not in the Recycle Bin either".to_owned()));
        };
        if let Ok(mut recipe) = Recipe::of(remediation) {
            recipe.bin_until = Some(until);
            remediation.recipe = recipe.kept();
        }
        let until = until.format("%Y-%m-%d %H:%M UTC");
        Ok((Look::Reached, format!("seen in the Recycle Bin, which keeps it until {until}")))
    }

    /// Ends as Stuck. The freeze is written first, so that a crash in between repeats it.
    pub(super) async fn stuck(&self, remediation: &mut Remediation, why: &str, run: &Run) -> Result<Next, Interrupted> {
        self.freeze("remediate", &format!("r-{} ({}) is stuck: {why}", remediation.id, remediation.step.key))?;
        self.end(remediation, JournalState::Stuck, why, run).await
    }
}

/// What `looks` reads in a row that all said `look`, over `steady`, amount to, `elapsed` after the call.
pub(super) fn seen(
    look: Look,
    answered: bool,
    ends_gone: bool,
    looks: u32,
    steady: TimeDelta,
    elapsed: TimeDelta,
) -> Seen {
    let agreed = looks >= LOOKS && steady >= AGREE;
    match look {
        Look::Reached => Seen::Effect("the target state was reached".into()),
        Look::Gone if ends_gone && answered && looks >= 2 && steady >= APART => {
            Seen::Effect(format!("accepted, and not found in {looks} reads"))
        }
        Look::Gone if ends_gone && agreed => {
            Seen::Effect(format!("not found in {looks} reads over {} minutes", steady.num_minutes()))
        }
        Look::Gone if agreed && !ends_gone => Seen::Stuck("it is not found any more, which proves nothing".into()),
        Look::Unchanged if agreed => Seen::Stuck("it still has its old state".into()),
        Look::Between if looks >= LOOKS && steady >= ON_ITS_WAY => Seen::Stuck("it does not arrive".into()),
        _ if elapsed >= BLIND => Seen::Stuck("the reads of an hour do not agree".into()),
        _ => Seen::NotYet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(count: i64) -> TimeDelta {
        TimeDelta::minutes(count)
    }

    #[test]
    fn a_stop_counts_when_stopped_is_seen_once() {
        assert!(matches!(seen(Look::Reached, false, false, 1, minutes(0), minutes(0)), Seen::Effect(_)));
    }

    #[test]
    fn h28_one_read_that_does_not_find_it_proves_nothing() {
        assert_eq!(seen(Look::Gone, true, true, 1, minutes(0), minutes(1)), Seen::NotYet);
        assert_eq!(seen(Look::Gone, true, true, 2, TimeDelta::seconds(4), minutes(1)), Seen::NotYet);
        assert!(matches!(seen(Look::Gone, true, true, 2, TimeDelta::seconds(5), minutes(1)), Seen::Effect(_)));
    }

    #[test]
    fn h05_without_an_answer_gone_needs_three_reads_over_ten_minutes() {
        assert_eq!(seen(Look::Gone, false, true, 9, minutes(9), minutes(9)), Seen::NotYet);
        assert_eq!(seen(Look::Gone, false, true, 2, minutes(10), minutes(10)), Seen::NotYet);
        assert!(matches!(seen(Look::Gone, false, true, 3, minutes(10), minutes(10)), Seen::Effect(_)));
    }

    #[test]
    fn h05_the_old_state_needs_three_reads_over_ten_minutes_before_it_is_stuck() {
        for answered in [true, false] {
            assert_eq!(seen(Look::Unchanged, answered, true, 2, minutes(10), minutes(10)), Seen::NotYet);
            assert_eq!(seen(Look::Unchanged, answered, true, 30, minutes(9), minutes(9)), Seen::NotYet);
            assert!(matches!(seen(Look::Unchanged, answered, true, 3, minutes(10), minutes(10)), Seen::Stuck(_)));
        }
    }

    #[test]
    fn a_stopped_instance_that_vanishes_is_stuck_not_done() {
        assert!(matches!(seen(Look::Gone, true, false, 3, minutes(10), minutes(10)), Seen::Stuck(_)));
        assert!(matches!(seen(Look::Between, true, false, 5, minutes(15), minutes(15)), Seen::Stuck(_)));
        assert_eq!(seen(Look::Between, true, false, 5, minutes(14), minutes(14)), Seen::NotYet);
    }
}
