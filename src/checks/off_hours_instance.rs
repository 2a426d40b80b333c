//! Instances that run outside the hours of a Schedule policy (D2).
//!
//! What should be is computed anew from the instant of the look: nothing depends on having seen the window close. A
//! stopped instance inside its hours is reported where the rule asks for it, and no more: starting is no action here.

use super::Judge;
use crate::domain::check::{CheckInfo, Confidence, Evidence, Savings, Standing, Subject, UsedBy, Verdict, Violation};
use crate::domain::finding::{Action, Severity};
use crate::domain::hours::{Desired, Schedule};
use crate::domain::place::Kind;
use crate::domain::resource::{Instance, InstanceState};

/// This check's page.
pub static INFO: CheckInfo = CheckInfo {
    id: "off-hours-instance",
    title: "Instance runs outside its hours",
    why: "A machine that people use on weekdays from 7 to 19 is paid for during 108 more hours of every week.",
    kinds: &[Kind::Instance],
    used_by: UsedBy::Schedule,
    severity: Severity::Medium,
    action: Action::Notify,
    params: &[],
    reads: "the instance's state, and the policy's hours, days, holidays and zone",
    needs_usage: false,
};

/// The judge for one rule of a Schedule policy.
pub fn build(schedule: &Schedule) -> Box<dyn Judge> {
    Box::new(OffHours { schedule: schedule.clone() })
}

struct OffHours {
    schedule: Schedule,
}

impl Judge for OffHours {
    fn judge(&self, subject: &Subject<'_>) -> Verdict {
        let Some(instance) = subject.resource.instance() else { return Verdict::NotApplicable };
        let desired = self.schedule.desired(subject.now);
        match (&instance.state, desired) {
            (InstanceState::ShuttingDown | InstanceState::Terminated, _) => Verdict::NotApplicable,
            (InstanceState::Other(word), _) => Verdict::Unknown(format!("instance state {word:?} is not known")),
            (InstanceState::Running, Desired::Off(why)) => {
                let message = format!("runs outside its hours: {why}; hours are {}", self.schedule.window());
                self.violated(subject, message, &why, self.savings(subject, instance), Standing::Proven)
            }
            (InstanceState::Stopped, Desired::Running) if self.schedule.expect_running => {
                let message = format!("is stopped inside its hours, {}", self.schedule.window());
                let standing =
                    Standing::ReportedOnly("nothing here starts an instance: a person or its owner does".into());
                self.violated(subject, message, "inside the hours", Savings::none(), standing)
            }
            _ => Verdict::Compliant,
        }
    }
}

impl OffHours {
    fn violated(
        &self,
        subject: &Subject<'_>,
        message: String,
        why: &str,
        savings: Savings,
        standing: Standing,
    ) -> Verdict {
        let figure = |name: &str, value: String, source: &str| Evidence {
            name: name.into(),
            value,
            unit: String::new(),
            source: source.into(),
            at: subject.now,
        };
        let mut evidence = vec![
            figure("state", subject.resource.state().to_owned(), "EC2 listing"),
            figure("hours", self.schedule.window(), "policy"),
            figure("now", why.to_owned(), "policy and clock"),
        ];
        if let Some(instance) = subject.resource.instance() {
            evidence.push(figure("type", instance.instance_type.to_string(), "EC2 listing"));
        }
        Verdict::Violated(Box::new(Violation {
            message,
            evidence,
            savings,
            standing,
            act_not_before: None,
            add_tags: Vec::new(),
            to_type: None,
        }))
    }

    /// The share of the week in which the window is closed, holidays not counted, of the list price of a month.
    fn savings(&self, subject: &Subject<'_>, instance: &Instance) -> Savings {
        let linux = instance.platform.known().is_some_and(|platform| &**platform == "Linux/UNIX");
        let price =
            linux.then(|| subject.prices.instance_month(&instance.instance_type, subject.resource.key.region()));
        let Some(price) = price.flatten() else {
            return Savings::unknown("the price of this type and platform is not in the price book");
        };
        let (closed, week) = self.schedule.closed_share();
        Savings {
            monthly: Some(price.monthly.scaled(closed, week)),
            basis: format!("on-demand list, {} of 168 hours a week, volumes not counted", closed / 60),
            confidence: Confidence::Low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::*;
    use crate::domain::hours::tests::office;
    use crate::domain::inventory::RefIndex;
    use crate::domain::resource::Resource;

    fn judge(schedule: &Schedule, resource: &Resource, at: &str) -> Verdict {
        let (refs, prices) = (RefIndex::default(), prices());
        build(schedule).judge(&Subject {
            resource,
            usage: None,
            refs: &refs,
            sighting: None,
            prices: &prices,
            now: at.parse().unwrap(),
        })
    }

    #[test]
    fn d2_a_running_instance_is_a_violation_outside_its_hours_and_fine_inside_at_every_look() {
        let (schedule, running) = (office(chrono_tz::Europe::Berlin), instance("i-1", "m5.large", 30));
        assert_eq!(judge(&schedule, &running, "2026-11-23T17:59:59Z"), Verdict::Compliant);
        let Verdict::Violated(found) = judge(&schedule, &running, "2026-11-23T18:00:00Z") else { panic!() };
        assert_eq!(
            found.message,
            "runs outside its hours: Mon 2026-11-23 19:00 in Europe/Berlin is outside the hours; hours are Mon, Tue, \
             Wed, Thu, Fri 07:00 to 19:00 Europe/Berlin"
        );
        assert_eq!((found.standing.clone(), found.evidence[1].name.as_str()), (Standing::Proven, "hours"));
        // No edge is needed: looked at for the first time on a Sunday, it is still outside.
        assert!(matches!(judge(&schedule, &running, "2026-11-29T11:00:00Z"), Verdict::Violated(_)));
        let stopped = with_state(running, InstanceState::Stopped);
        assert_eq!(judge(&schedule, &stopped, "2026-11-29T11:00:00Z"), Verdict::Compliant);
    }

    #[test]
    fn d2_a_missing_start_is_reported_only_where_it_is_asked_for_and_never_acted_on() {
        let stopped = with_state(instance("i-1", "m5.large", 30), InstanceState::Stopped);
        let silent = office(chrono_tz::UTC);
        assert_eq!(judge(&silent, &stopped, "2026-11-23T10:00:00Z"), Verdict::Compliant);
        let asked = Schedule { expect_running: true, ..silent };
        let Verdict::Violated(found) = judge(&asked, &stopped, "2026-11-23T10:00:00Z") else { panic!() };
        assert!(
            matches!(&found.standing, Standing::ReportedOnly(why) if why.contains("nothing here starts an instance"))
        );
        assert_eq!(judge(&asked, &stopped, "2026-11-23T22:00:00Z"), Verdict::Compliant);
    }

    #[test]
    fn d2_a_state_that_is_not_known_says_nothing() {
        let odd = with_state(instance("i-1", "m5.large", 30), InstanceState::Other("hibernating".into()));
        assert!(matches!(judge(&office(chrono_tz::UTC), &odd, "2026-11-29T10:00:00Z"), Verdict::Unknown(_)));
    }
}
