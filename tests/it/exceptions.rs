//! Exceptions and people's word on acts over nights of a simulated account, as the worker runs them.

use chrono::TimeDelta;
use costwarden::app::WorldApp;
use costwarden::cloud::sim::{Change, World};
use costwarden::domain::Instant;
use costwarden::domain::check::Standing;
use costwarden::domain::exception::{ExceptionRecord, ExceptionStatus, ExceptionType};
use costwarden::domain::finding::{Act, Action, Finding, Severity, State};
use costwarden::domain::lifecycle::ApprovalKind;
use costwarden::domain::mode::Mode;
use costwarden::domain::notice::NoticeKind;
use costwarden::domain::plan::HoldCode;
use costwarden::engine::exceptions::Wish;
use costwarden::engine::grace;
use costwarden::store::{FindingFilter, Store};
use costwarden::worker::act_approvals;
use costwarden::worker::context::Context;
use costwarden::worker::exceptions::{By, Desk, Target};
use costwarden::worker::jobs::plan::plan;
use costwarden::worker::jobs::scan::{Choice, scan};
use costwarden::worker::supervise::Work;

const ANN: &str = "ann@example.com";
const FIN: &str = "fin@example.com";
const SEC: &str = "sec@example.com";

struct Nights {
    app: WorldApp,
    cx: Context,
}

impl Nights {
    fn with(policies: Option<&str>) -> Nights {
        let mut world = World::demo().unwrap();
        if let Some(text) = policies {
            world.policies = vec![text.to_owned()];
        }
        let mut app = WorldApp::open(world, Mode::Notify).unwrap();
        app.settings.approvals.finops = vec![FIN.into()];
        app.settings.approvals.security = vec![SEC.into()];
        let cx = app.context(Store::in_memory().unwrap()).unwrap();
        Nights { app, cx }
    }

    fn now(&self) -> Instant {
        self.app.clock.now()
    }

    fn pass(&self, hours: i64) {
        self.app.clock.advance_to(self.now() + TimeDelta::hours(hours));
    }

    async fn scan(&self) {
        scan(&self.cx, &Choice::default(), &Work::default()).await.unwrap();
    }

    /// An open finding that would lead to an act of ours.
    fn some(&self, act: Act) -> Finding {
        let all = self.cx.store.findings(&FindingFilter::default()).unwrap();
        let fits = |own: &Finding| {
            let stands = own.state == State::Open && own.standing == Standing::Proven && own.severity != Severity::Low;
            own.act() == Some(act) && stands
        };
        all.into_iter().find(|own| fits(own) && own.keep_tag.is_none()).expect("the demo's account has one")
    }

    fn again(&self, finding: &Finding) -> Finding {
        self.cx.store.finding(&finding.id).unwrap().unwrap()
    }

    /// Tells the owner as of now.
    fn tell(&self, finding: &Finding) {
        let at = self.now();
        self.cx
            .store
            .modify_finding(&finding.id, |own| {
                grace::delivered(own, NoticeKind::First, at);
                Vec::new()
            })
            .unwrap();
    }

    fn granted(&self, finding: &Finding, exception_type: ExceptionType, condition: Option<&str>) -> ExceptionRecord {
        let days = (exception_type == ExceptionType::Temporary).then_some(2);
        let wish = Wish { exception_type, days, condition, review_days: None, justification: "audit", by: ANN };
        let desk = Desk::of(&self.cx.store, &self.cx.settings);
        let target = Target { of: finding.id.0.clone(), ..Target::default() };
        let asked = desk.request(&target, &wish, self.now()).unwrap().record;
        desk.approve(&asked.id, None, By { who: FIN, at: self.now() }).unwrap().record
    }
}

#[tokio::test]
async fn n8_an_exception_is_skipped_over_its_use_is_logged_once_a_scan_and_its_end_begins_a_full_grace() {
    let nights = Nights::with(None);
    nights.scan().await;
    let finding = nights.some(Act::StopInstance);
    nights.tell(&finding);
    let due = nights.again(&finding).clock.due_at.unwrap();
    let exception = nights.granted(&finding, ExceptionType::Temporary, None);
    for hours in [1, 20] {
        nights.pass(hours);
        nights.scan().await;
        assert_eq!(nights.again(&finding).state, State::Excepted);
    }
    let uses = nights.cx.store.exception_uses(&exception.id).unwrap();
    assert_eq!(uses.len(), 2, "one a scan: {uses:?}");
    assert!(uses.iter().all(|used| used.finding == finding.id) && uses[0].scan != uses[1].scan);
    nights.pass(30);
    nights.scan().await;
    let open = nights.again(&finding);
    assert_eq!((open.state, open.clock.first_notice, open.clock.due_at), (State::Open, None, None));
    let stored = nights.cx.store.exception(&exception.id).unwrap().unwrap();
    assert_eq!(stored.status, ExceptionStatus::Expired);
    nights.tell(&finding);
    assert!(nights.again(&finding).clock.due_at.unwrap() > due, "never earlier than without it");
    assert_eq!(nights.cx.store.exception_uses(&exception.id).unwrap().len(), 2);
}

#[tokio::test]
async fn n3_a_conditional_exception_ends_in_the_scan_that_sees_its_condition_broken() {
    let nights = Nights::with(None);
    nights.scan().await;
    let finding = nights.some(Act::StopInstance);
    let tag = |value: &str| {
        let tags = vec![("phase".to_owned(), value.to_owned())];
        nights.app.cloud.apply("ann", Change::Tag { resource: finding.key.id.to_string(), tags }).unwrap();
    };
    tag("audit");
    let exception = nights.granted(&finding, ExceptionType::Conditional, Some("resource.tags.phase == 'audit'"));
    nights.pass(1);
    nights.scan().await;
    assert_eq!(nights.again(&finding).state, State::Excepted);
    tag("done");
    nights.pass(24);
    nights.scan().await;
    let open = nights.again(&finding);
    assert_eq!(
        (open.state, open.clock.first_notice),
        (State::Open, None),
        "in that very scan, with a full grace to come"
    );
    let events = nights.cx.store.exception_events(&exception.id).unwrap();
    assert_eq!(events.last().map(|event| event.what.as_str()), Some("voided"));
}

#[tokio::test]
async fn h10_a_revoked_exception_is_held_by_the_plan_until_a_scan_began_the_new_grace() {
    let nights = Nights::with(None);
    nights.scan().await;
    let finding = nights.some(Act::StopInstance);
    nights.tell(&finding);
    nights.pass(1);
    let exception = nights.granted(&finding, ExceptionType::Permanent, None);
    nights.pass(1);
    let desk = Desk::of(&nights.cx.store, &nights.cx.settings);
    desk.revoke(&exception.id, "no longer", By { who: FIN, at: nights.now() }).unwrap();
    nights.pass(1);
    let held = plan(&nights.cx, true).await.unwrap().held;
    let row = held.iter().find(|row| row.finding == finding.id).unwrap();
    assert_eq!(row.code, HoldCode::Excepted, "{}", row.reason);
    assert!(row.reason.contains("a new full grace period"), "{}", row.reason);
    nights.scan().await;
    assert_eq!(nights.again(&finding).clock.first_notice, None);
}

const TWO_PEOPLE: &str = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata:\n  name: disks\nspec:\n  type: Waste\n  \
                          approval:\n    people: 2\n  severity: high\n  grace: 24h\n  rules:\n    - name: unattached\n      \
                          check: unattached-volume\n      action: delete\n";

#[tokio::test]
async fn i07_a_policy_that_asks_for_two_people_holds_asks_them_and_plans_the_act_after_two_said_yes() {
    let nights = Nights::with(Some(TWO_PEOPLE));
    nights.scan().await;
    let mut settings = (*nights.cx.settings).clone();
    settings.enforcement.allow_auto_delete_volumes = true;
    settings.enforcement.mode = Mode::Notify;
    let cx = Context { settings: settings.into(), ..nights.cx.clone() };
    let nights = Nights { cx, ..nights };
    for _ in 0..20 {
        nights.pass(24);
        nights.scan().await;
    }
    let finding = nights.some(Act::DeleteVolume);
    assert_eq!((finding.approvals, finding.action), (2, Action::Terminate));
    nights.tell(&finding);
    for _ in 0..4 {
        nights.pass(24);
        nights.scan().await;
    }
    // Into the window of some Monday to Thursday.
    while nights.cx.settings.enforcement.window.closed_because(nights.now()).is_some() {
        nights.pass(1);
    }
    let row = |held: &[costwarden::domain::plan::Held]| held.iter().find(|row| row.finding == finding.id).cloned();
    let first = plan(&nights.cx, true).await.unwrap();
    let held = row(&first.held).expect("it waits");
    assert_eq!(held.code, HoldCode::WaitsForApproval, "{}", held.reason);
    let asked = nights.cx.store.approvals_pending(None).unwrap();
    let mine: Vec<_> = asked.iter().filter(|own| own.kind == ApprovalKind::Remediation).collect();
    let requests = nights.cx.store.act_requests_of(&finding.id).unwrap();
    assert_eq!(
        (requests.len(), requests[0].0.plan.as_str()),
        (1, first.plan.id.as_str()),
        "bound to the plan that held it"
    );
    let subject = requests[0].0.subject();
    let people: Vec<&str> = mine.iter().filter(|own| own.subject == subject).map(|own| own.approver.as_str()).collect();
    assert_eq!(people, [FIN, SEC]);
    plan(&nights.cx, true).await.unwrap();
    assert_eq!(nights.cx.store.act_requests_of(&finding.id).unwrap().len(), 1, "nobody is asked twice");

    let say = |who: &str, yes: bool| {
        let rows = nights.cx.store.approvals_of(ApprovalKind::Remediation, &subject).unwrap();
        let row = rows.iter().find(|own| own.approver == who).unwrap();
        act_approvals::answer(&nights.cx.store, row, yes, None, By { who, at: nights.now() })
    };
    let rows = nights.cx.store.approvals_of(ApprovalKind::Remediation, &subject).unwrap();
    let stranger = By { who: ANN, at: nights.now() };
    assert!(act_approvals::answer(&nights.cx.store, &rows[0], true, None, stranger).is_err(), "another was asked");
    say(FIN, true).unwrap();
    let one = row(&plan(&nights.cx, true).await.unwrap().held).unwrap();
    assert!(one.reason.contains("1 of 2 people said yes"), "{}", one.reason);
    say(SEC, true).unwrap();
    let both = plan(&nights.cx, true).await.unwrap();
    assert!(both.plan.steps.iter().any(|step| step.finding == finding.id), "{:?}", row(&both.held));
    say(SEC, false).unwrap();
    assert!(row(&plan(&nights.cx, true).await.unwrap().held).is_some(), "a yes may be taken back");
}
