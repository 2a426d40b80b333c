//! A finding's life: opened, kept, closed and reopened by what scans say.

use chrono::TimeDelta;

use super::*;
use crate::checks::testing::{instance, now};
use crate::domain::check::{Evidence, Params, Savings};
use crate::domain::fact::Fact;
use crate::domain::finding::Action;
use crate::domain::notice::NoticeKind;
use crate::engine::ruleset::Ruleset;
use crate::policy::{EnforcementMode, Logic, Policy, PolicyScope, PolicySource, PolicyType, Reach, Record, Rule};

fn ruleset() -> Ruleset {
    let info = &crate::checks::idle_instance::INFO;
    Ruleset::compile(&[Policy {
        name: "idle-resource-detection".into(),
        title: None,
        namespace: None,
        description: None,
        policy_type: PolicyType::Waste,
        category: None,
        mode: EnforcementMode::Enforce,
        severity_word: None,
        scope: PolicyScope::default(),
        reach: Reach::Global,
        actions: Vec::new(),
        approval: None,
        rules: vec![Rule {
            name: "low-utilization".into(),
            title: None,
            types: Vec::new(),
            severity: info.severity,
            action: info.action,
            grace: None,
            mode: EnforcementMode::Enforce,
            logic: Logic::Check { check: info.id, params: Params::resolve(info, &Default::default()) },
            enforcement: None,
            actions: None,
            line: 1,
        }],
        examples: Vec::new(),
        record: Record::default(),
        hash: "h1".into(),
        version: Some("1.2.0".into()),
        source: PolicySource { path: "idle.yaml".into(), line: 1 },
    }])
    .unwrap()
}

fn violated(standing: Standing) -> Verdict {
    Verdict::Violated(Box::new(Violation {
        message: "Idle".into(),
        evidence: vec![Evidence {
            name: "cpu".into(),
            value: "1".into(),
            unit: "percent".into(),
            source: "test".into(),
            at: now(),
        }],
        savings: Savings::none(),
        standing,
        act_not_before: None,
        add_tags: Vec::new(),
        to_type: None,
    }))
}

/// One night: every resource with its verdict. Returns the findings on file afterwards and the words of the events.
struct Nights {
    on_file: Vec<Finding>,
    exceptions: Vec<Exception>,
    at: Instant,
}

impl Nights {
    fn new() -> Nights {
        Nights { on_file: Vec::new(), exceptions: Vec::new(), at: now() }
    }

    fn night(&mut self, listing: &[(&Resource, Verdict)]) -> Vec<String> {
        let rules = ruleset();
        let owner = |resource: &Resource| resource.tag("owner").map(str::to_owned);
        let look = Look { now: self.at, exceptions: &self.exceptions, owner_of: &owner, tag_prefix: "costwarden:" };
        let mut reconciler = Reconciler::new(look);
        reconciler.on_file(self.on_file.clone());
        for (resource, verdict) in listing {
            reconciler.seen(resource);
            reconciler.observe(resource, &rules.rules()[0], verdict.clone());
        }
        let result = reconciler.finish();
        for changed in result.changed {
            self.on_file.retain(|finding| finding.id != changed.id);
            self.on_file.push(changed);
        }
        self.at += TimeDelta::days(1);
        result.events.into_iter().map(|event| event.what).collect()
    }

    fn only(&self) -> &Finding {
        assert_eq!(self.on_file.len(), 1);
        &self.on_file[0]
    }

    fn tell(&mut self) {
        let at = self.at;
        grace::delivered(&mut self.on_file[0], NoticeKind::First, at);
    }
}

fn tagged(tags: &[(&str, &str)]) -> Resource {
    let mut resource = instance("i-1", "m5.large", 30);
    resource.tags = Fact::Known(Tags::of(tags));
    resource
}

#[test]
fn x2_a_finding_is_made_once_and_keeps_its_first_date() {
    let mut nights = Nights::new();
    let first = nights.at;
    let resource = tagged(&[("owner", "ann@example.com")]);
    assert_eq!(nights.night(&[(&resource, violated(Standing::Proven))]), ["detected"]);
    assert_eq!(nights.night(&[(&resource, violated(Standing::Proven))]), [] as [&str; 0]);
    let finding = nights.only();
    assert_eq!((finding.detected_at, finding.seen_at), (first, first + TimeDelta::days(1)));
    assert_eq!((finding.state, finding.phase), (State::Open, Phase::Unnoticed));
    assert_eq!(finding.owner.as_deref(), Some("ann@example.com"));
    assert_eq!(finding.action, Action::Stop);
}

#[test]
fn t6_a_finding_carries_the_version_that_raised_or_last_confirmed_it() {
    let mut nights = Nights::new();
    let idle = tagged(&[]);
    nights.night(&[(&idle, violated(Standing::Proven))]);
    assert_eq!(nights.only().policy_version.as_deref(), Some("1.2.0"));
    for older in [Some("0.1.0".to_owned()), None] {
        nights.on_file[0].policy_version = older;
        nights.night(&[(&idle, violated(Standing::Proven))]);
        assert_eq!(nights.only().policy_version.as_deref(), Some("1.2.0"));
    }
}

#[test]
fn r4_the_grace_clock_survives_every_later_scan() {
    let mut nights = Nights::new();
    let resource = tagged(&[]);
    nights.night(&[(&resource, violated(Standing::Proven))]);
    nights.tell();
    let due = nights.only().clock.due_at;
    for _ in 0..5 {
        nights.night(&[(&resource, violated(Standing::Proven))]);
    }
    assert_eq!(nights.only().clock.due_at, due, "a clock that restarts on each scan never ends");
    assert!(due.is_some());
}

#[test]
fn it_closes_when_seen_and_fine_and_opens_again_with_a_new_grace() {
    let mut nights = Nights::new();
    let resource = tagged(&[]);
    nights.night(&[(&resource, violated(Standing::Proven))]);
    nights.tell();
    assert_eq!(nights.night(&[(&resource, Verdict::Compliant)]), ["resolved"]);
    assert_eq!(nights.only().state, State::Resolved);
    assert_eq!(nights.night(&[(&resource, violated(Standing::Proven))]), ["reopened"]);
    assert_eq!((nights.only().state, nights.only().clock.first_notice), (State::Open, None));
}

#[test]
fn h28_missing_once_is_not_gone_missing_twice_is() {
    let mut nights = Nights::new();
    let resource = tagged(&[]);
    nights.night(&[(&resource, violated(Standing::Proven))]);
    assert_eq!(nights.night(&[]), [] as [&str; 0]);
    assert_eq!(nights.only().state, State::Open);
    assert!(nights.only().unjudged.is_some(), "nothing is done meanwhile");
    nights.night(&[(&resource, violated(Standing::Proven))]);
    assert_eq!((nights.only().missing_since, &nights.only().unjudged), (None, &None), "it was only late");
    nights.night(&[]);
    nights.at = nights.at - TimeDelta::days(1) + TimeDelta::minutes(4);
    assert_eq!(nights.night(&[]), [] as [&str; 0], "four minutes apart");
    assert_eq!(nights.night(&[]), ["resolved"]);
}

#[test]
fn h01_an_unknown_verdict_changes_nothing_but_the_note() {
    let mut nights = Nights::new();
    let resource = tagged(&[]);
    assert_eq!(nights.night(&[(&resource, Verdict::Unknown("throttled".into()))]), [] as [&str; 0]);
    assert_eq!(nights.on_file, []);
    nights.night(&[(&resource, violated(Standing::Proven))]);
    nights.tell();
    let before = nights.only().clone();
    nights.night(&[(&resource, Verdict::Unknown("throttled".into()))]);
    let doubted = nights.only().clone();
    assert_eq!(doubted, Finding { unjudged: Some("throttled".into()), ..before });
    nights.night(&[(&resource, violated(Standing::Proven))]);
    assert_eq!(nights.only().unjudged, None);
}

#[test]
fn r6_an_exception_holds_by_policy_and_rule_and_a_full_grace_follows_it() {
    let mut nights = Nights::new();
    let resource = tagged(&[]);
    nights.night(&[(&resource, violated(Standing::Proven))]);
    nights.tell();
    nights.exceptions.push(Exception {
        id: "EXC-1".into(),
        resource: "i-1".into(),
        account: None,
        policy: "idle-resource-detection".into(),
        rule: None,
        reason: "load test".into(),
        approved_by: "bob".into(),
        until: nights.at + TimeDelta::days(1),
    });
    assert_eq!(nights.night(&[(&resource, violated(Standing::Proven))]), ["excepted"]);
    assert_eq!(nights.only().state, State::Excepted);
    assert!(nights.only().reason.starts_with("exception EXC-1: load test (approved by bob, until "));
    assert_eq!(nights.night(&[(&resource, violated(Standing::Proven))]), [] as [&str; 0], "equality still holds");
    assert_eq!(nights.night(&[(&resource, violated(Standing::Proven))]), ["exception_ended"]);
    assert_eq!((nights.only().state, nights.only().clock.due_at), (State::Open, None), "a new full grace");
}

#[test]
fn a_keep_until_tag_holds_through_its_day_and_ninety_days_at_most() {
    let mut nights = Nights::new();
    let until = (now().date_naive() + TimeDelta::days(1)).to_string();
    let kept = tagged(&[("costwarden:keep-until", &until)]);
    nights.night(&[(&kept, violated(Standing::Proven))]);
    assert_eq!(nights.only().state, State::Excepted);
    nights.night(&[(&kept, violated(Standing::Proven))]);
    assert_eq!(nights.only().state, State::Excepted, "its own day counts");
    assert_eq!(nights.night(&[(&kept, violated(Standing::Proven))]), ["exception_ended"]);

    let mut forever = Nights::new();
    let long = tagged(&[("costwarden:keep-until", "2099-01-01")]);
    forever.night(&[(&long, violated(Standing::Proven))]);
    let day = forever.only().keep_until.unwrap();
    assert_eq!(day, now().date_naive() + TimeDelta::days(90));
    forever.at = now() + TimeDelta::days(91);
    forever.night(&[(&long, violated(Standing::Proven))]);
    assert_eq!((forever.only().state, forever.only().keep_until), (State::Open, Some(day)), "not counted anew");
}

#[test]
fn h10_the_tag_that_owners_are_told_holds_under_any_prefix_of_the_settings() {
    let rules = ruleset();
    let until = (now().date_naive() + TimeDelta::days(5)).to_string();
    let kept = tagged(&[("costwarden:keep-until", &until)]);
    for prefix in ["", "ours:"] {
        let look = Look { now: now(), exceptions: &[], owner_of: &|_| None, tag_prefix: prefix };
        let mut reconciler = Reconciler::new(look);
        reconciler.seen(&kept);
        let counts_as = reconciler.observe(&kept, &rules.rules()[0], violated(Standing::Proven));
        assert_eq!(counts_as, CountsAs::Excepted, "{prefix:?}");
    }
}

#[test]
fn h10_of_two_keep_until_tags_neither_hides_the_other_and_the_longer_holds() {
    let rules = ruleset();
    let day = |days: i64| (now().date_naive() + TimeDelta::days(days)).to_string();
    let (past, soon, later) = (day(-5), day(5), day(9));
    for (told, ours, holds) in [
        (&past, &soon, Some(soon.clone())),
        (&soon, &past, Some(soon.clone())),
        (&soon, &later, Some(later.clone())),
        (&past, &past, None),
        (&later, &"for ever".to_owned(), None),
    ] {
        let resource = tagged(&[("costwarden:keep-until", told), ("ours:keep-until", ours)]);
        let look = Look { now: now(), exceptions: &[], owner_of: &|_| None, tag_prefix: "ours:" };
        let mut reconciler = Reconciler::new(look);
        reconciler.seen(&resource);
        let counts_as = reconciler.observe(&resource, &rules.rules()[0], violated(Standing::Proven));
        let excepted = counts_as == CountsAs::Excepted;
        assert_eq!(excepted, holds.is_some(), "{told} and {ours}");
        let findings = reconciler.finish().changed;
        let unreadable = matches!(findings[0].standing, Standing::ReportedOnly(_));
        assert_eq!(unreadable, ours == "for ever", "{told} and {ours}");
        assert_eq!(
            findings[0].keep_until.map(|day| day.to_string()),
            holds.or_else(|| (!unreadable).then(|| past.clone()))
        );
    }
}

#[test]
fn h10_a_keep_until_tag_that_cannot_be_read_is_never_acted_on() {
    let mut nights = Nights::new();
    let odd = tagged(&[("costwarden:keep-until", "until christmas")]);
    nights.night(&[(&odd, violated(Standing::Proven))]);
    assert_eq!(
        nights.only().standing,
        Standing::ReportedOnly(
            "tag costwarden:keep-until is \"until christmas\"; accepted: a date such as 2026-12-31".into()
        )
    );
}

#[test]
fn h25_a_reversal_suppresses_the_finding() {
    let mut nights = Nights::new();
    let resource = tagged(&[]);
    nights.night(&[(&resource, violated(Standing::Proven))]);
    nights.on_file[0].state = State::Remediated;
    nights.on_file[0].closed_at = Some(nights.at - TimeDelta::minutes(14));
    assert_eq!(nights.night(&[(&resource, violated(Standing::Proven))]), [] as [&str; 0], "may be an old answer");
    assert_eq!(nights.night(&[(&resource, violated(Standing::Proven))]), ["reversed"]);
    assert!(nights.only().suppressed);
    assert_eq!(nights.only().state, State::Open);
}

#[test]
fn what_becomes_actable_later_gets_its_whole_time_from_then_on() {
    let mut nights = Nights::new();
    let resource = tagged(&[]);
    nights.night(&[(&resource, violated(Standing::Proven))]);
    nights.tell();
    nights.night(&[(&resource, violated(Standing::ReportedOnly("protected".into())))]);
    assert_eq!(nights.night(&[(&resource, violated(Standing::Proven))]), ["proven"]);
    assert_eq!(nights.only().clock.first_notice, None);
}

#[test]
fn an_act_under_way_is_not_closed_by_a_scan() {
    let mut nights = Nights::new();
    let resource = tagged(&[]);
    nights.night(&[(&resource, violated(Standing::Proven))]);
    nights.on_file[0].remediation = Some(OpenRemediation::Acting);
    assert_eq!(nights.night(&[(&resource, Verdict::NotApplicable)]), [] as [&str; 0]);
    assert_eq!(nights.only().state, State::Open);
}

#[test]
fn a_rule_that_is_gone_closes_its_findings() {
    let mut nights = Nights::new();
    let resource = tagged(&[]);
    nights.night(&[(&resource, violated(Standing::Proven))]);
    let look = Look { now: nights.at, exceptions: &[], owner_of: &|_| None, tag_prefix: "costwarden:" };
    let mut reconciler = Reconciler::new(look);
    reconciler.on_file(nights.on_file.clone());
    reconciler.seen(&resource);
    let result = reconciler.finish();
    assert_eq!(result.changed[0].state, State::Resolved);
    assert_eq!(result.changed[0].reason, "its policy or rule is no longer in force here");
}

#[test]
fn h10_an_exception_that_came_and_went_between_two_scans_begins_a_full_new_grace() {
    let mut nights = Nights::new();
    let resource = tagged(&[]);
    nights.night(&[(&resource, violated(Standing::Proven))]);
    nights.tell();
    let due = nights.only().clock.due_at.unwrap();
    nights.exceptions.push(Exception {
        id: "EXC-1".into(),
        resource: "i-1".into(),
        account: None,
        policy: "idle-resource-detection".into(),
        rule: None,
        reason: "migration".into(),
        approved_by: "bob".into(),
        until: nights.at + TimeDelta::hours(3),
    });
    nights.at += TimeDelta::days(1);
    assert_eq!(nights.night(&[(&resource, violated(Standing::Proven))]), ["exception_ended"]);
    assert_eq!((nights.only().state, nights.only().clock.first_notice), (State::Open, None));
    nights.tell();
    assert!(nights.only().clock.due_at.unwrap() > due, "never earlier than before it");
    assert_eq!(nights.night(&[(&resource, violated(Standing::Proven))]), [] as [&str; 0], "once");
    assert!(nights.only().clock.first_notice.is_some());
}
