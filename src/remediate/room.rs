//! Whether a step of an earlier run still finds a place in today's pace.
//!
//! `driver` asks before an act. It counts the journal, where the planner counted findings and the gate its own passes.

use super::gate::day_start;
use super::{Interrupted, Remediator, Run};
use crate::domain::finding::Act;
use crate::domain::place::Kind;
use crate::domain::remediation::Remediation;

impl Remediator {
    /// Steps of an earlier run that waited for their snapshots take places of today's pace which this run's planner may
    /// not have counted. Where such a step is about, a place that is missing holds; otherwise the planner counted, and
    /// one too many is the gate's to find. Counts the journal, not the gate's passes.
    pub(super) fn no_room(&self, remediation: &Remediation, run: &Run) -> Result<Option<String>, Interrupted> {
        let older = remediation.claimed_at < run.started_at;
        let carried = self.remember(|memory| {
            if older {
                memory.carried.insert(run.id.clone());
            }
            memory.carried.contains(&run.id)
        });
        if !carried {
            return Ok(None);
        }
        let now = self.tools.clock.now();
        let (step, pace) = (&remediation.step, &self.rules.pace);
        let (account, kind) = (step.key.account(), step.key.kind());
        let since = day_start(now).min(run.started_at);
        let acts = self.tools.store.acts_since(account, since)?;
        let in_run = |of: fn(Act) -> bool| acts.iter().filter(|past| of(past.0) && past.2 >= run.started_at).count();
        let today = |of: &dyn Fn(Act, Kind) -> bool| {
            acts.iter().filter(|past| of(past.0, past.1) && past.2 >= day_start(now)).count()
        };
        let share = pace.daily_share(self.rules.totals.get(&(account.clone(), kind)).copied().unwrap_or(0));
        let of_kind = today(&|act, own| act != Act::AddTags && own == kind) as u64;
        let full = if step.act.destructive() {
            in_run(Act::destructive) as u64 >= u64::from(pace.destructive_per_run)
                || today(&|act, _| act.destructive()) as u64 >= u64::from(pace.destructive_per_day)
                || of_kind >= share
        } else if step.act.disruptive() {
            in_run(Act::disruptive) as u64 >= u64::from(pace.disruptive_per_run) || of_kind >= share
        } else {
            in_run(|act| act == Act::AddTags) as u64 >= u64::from(pace.tags_per_run)
        };
        Ok(full.then(|| "over today's pace, which steps of an earlier run share".to_owned()))
    }
}
