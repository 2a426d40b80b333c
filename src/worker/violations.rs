//! Does what is to be done about a violation of the decision point, step by step (M5 to M8).
//!
//! The log comes first and is the one step that may stop the rest. After it each step ends with its own outcome, which
//! is stored before the next one begins; one that fails stops nothing. What leaves goes through the outbox, with its
//! retries. Suspending, resetting and locking are not ours to do: they are ordered with a ticket and, where one is
//! named, a webhook that an identity system listens on, and they are kept as ordered, never as done.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::consent;
use crate::deliver::outbox::outgoing;
use crate::deliver::{Message, MessageKind};
use crate::domain::Instant;
use crate::domain::text::clean;
use crate::domain::violation::{Level, RecordedViolation, StepEnd, StepOutcome, Ticket, ViolationState};
use crate::engine::violations::{Handlers, Remedy, Todo, record, todo};
use crate::policy::decide::{Consent, Context, PolicyViolation, about_context};
use crate::policy::{is_mail_address, is_room};
use crate::store::Store;

/// Where tickets go besides the state.
#[derive(Clone, Debug)]
pub enum Tickets {
    /// A folder with one JSON file a ticket, which any tracker can pick up.
    Folder(PathBuf),
    /// The address of a tracker that takes JSON.
    Webhook(String),
}

/// What the steps need.
pub struct Desk<'a> {
    /// Records, and the outbox.
    pub store: &'a Store,
    /// Who is told because of the level: mail addresses, `slack:#room` and `teams:name`.
    pub operators: &'a [String],
    /// Handlers by policy type.
    pub handlers: &'a Handlers,
    /// Where tickets go.
    pub tickets: &'a Tickets,
    /// Where orders about people go beside the ticket: an https address.
    pub subjects: Option<&'a str>,
}

/// What became of a violation.
#[derive(Clone, Debug, PartialEq)]
pub struct Processed {
    /// Its number in the state.
    pub id: i64,
    /// Each step with its outcome, in order.
    pub steps: Vec<StepOutcome>,
}

/// Goes through all steps of one violation.
///
/// # Errors
/// The violation or an outcome could not be stored; what came before stays done and on file.
pub fn process(desk: &Desk<'_>, violation: &PolicyViolation, context: &Context, now: Instant) -> Result<Processed> {
    let mut recorded = record(violation, context, now);
    recorded.id = desk.store.add_violation(&recorded).context("writing the violation down, before anything else")?;
    let mut run = Run { desk, found: violation, context, violation: &recorded, now, orders: Vec::new() };
    let mut steps = Vec::new();
    for (stage, todo) in todo(violation, desk.handlers) {
        let what = word(&todo);
        let (end, detail) = run.step(&todo).unwrap_or_else(|error| (StepEnd::Failed, format!("{error:#}")));
        let step = StepOutcome { stage, what: what.to_owned(), end, detail, at: now };
        desk.store.add_violation_step(recorded.id, &step)?;
        steps.push(step);
    }
    Ok(Processed { id: recorded.id, steps })
}

struct Run<'a> {
    desk: &'a Desk<'a>,
    found: &'a PolicyViolation,
    context: &'a Context,
    violation: &'a RecordedViolation,
    now: Instant,
    /// What people have to do.
    orders: Vec<String>,
}

impl Run<'_> {
    fn step(&mut self, todo: &Todo) -> Result<(StepEnd, String)> {
        let done = |detail: &str| Ok((StepEnd::Done, detail.to_owned()));
        let none = |detail: &str| Ok((StepEnd::NoOp, detail.to_owned()));
        match todo {
            Todo::Logged => done("on file and in the audit trail before anything else"),
            Todo::Classify(level) => done(match level {
                Level::Critical => "critical",
                Level::Warning => "warning",
                Level::Info => "info",
            }),
            Todo::Alert(recipients) => self.tell("alert", recipients),
            Todo::Block => none("the decision denied the request"),
            Todo::AskApproval(approvers) => {
                let question = about_context(self.context, self.found, approvers);
                let (consent, open) = consent::ask(self.desk.store, &question, self.now)?;
                match consent {
                    Consent::Pending => self.ask(&question.approvers, &open),
                    Consent::Approved(who) => none(&format!("{} approved the same request already", clean(&who))),
                    Consent::Refused(reason) => none(&format!("nobody is asked: {reason}")),
                }
            }
            Todo::Suspend(minutes) => self.order(
                "suspend",
                &format!("suspend the user for {minutes} minutes"),
                json!({ "duration_minutes": minutes }),
            ),
            Todo::Webhook(url) => {
                self.post("webhook", url, json!({}))?;
                Ok((StepEnd::Ordered, "in the outbox".to_owned()))
            }
            Todo::AlertOperators => self.tell("operators", self.desk.operators),
            Todo::Notify => self.tell("notify", self.desk.operators),
            Todo::Incident => {
                self.orders.push("handle the incident".to_owned());
                Ok((StepEnd::Ordered, "the ticket is the incident".to_owned()))
            }
            Todo::Metrics => done("computed from what is on file"),
            Todo::Remedy(rule, None) => none(&format!("no handler for rule {}", clean(rule))),
            Todo::Remedy(rule, Some(remedy)) => {
                let (what, words) = match remedy {
                    Remedy::ForcePasswordReset => ("force_password_reset", "make the user set a new password"),
                    Remedy::ForceMfaEnrolment => ("force_mfa_enrolment", "make the user enrol a second factor"),
                    Remedy::LockAndTell => ("lock_and_tell", "lock the account and tell the user"),
                };
                self.order(what, words, json!({ "rule": rule }))
            }
            Todo::Review if self.orders.is_empty() => none("nothing is left for people to do"),
            Todo::Review => self.ticket(),
        }
    }

    /// One message for each recipient; an unusable one fails the step after the others were told.
    fn tell(&self, what: &str, recipients: &[String]) -> Result<(StepEnd, String)> {
        if recipients.is_empty() {
            bail!("nobody is named to be told");
        }
        let (mut told, mut bad) = (Vec::new(), Vec::new());
        for to in recipients.iter().map(|to| to.strip_prefix("email:").unwrap_or(to)) {
            if is_mail_address(to) || is_room(to) {
                self.send(what, to, self.text())?;
                told.push(clean(to));
            } else {
                bad.push(clean(to));
            }
        }
        if !bad.is_empty() {
            bail!("{} is no mail address, no slack:#room and no teams:name; told: {}", bad.join(", "), told.join(", "));
        }
        Ok((StepEnd::Ordered, format!("in the outbox for {}", told.join(", "))))
    }

    /// Writes to the approvers who can be written to, once for each open question; the ticket asks the others.
    fn ask(&mut self, approvers: &[String], open: &[i64]) -> Result<(StepEnd, String)> {
        self.orders.push(format!("decide on the request: {}", approvers.join(", ")));
        let (mut told, mut others) = (Vec::new(), Vec::new());
        for (name, id) in approvers.iter().zip(open) {
            if is_mail_address(name) || is_room(name) {
                let text = format!("{}\nThis is approval {id}: it waits for your answer.\n", self.text());
                self.enqueue(format!("approval:{id}:{name}"), name, text)?;
                told.push(clean(name));
            } else {
                others.push(clean(name));
            }
        }
        Ok((
            StepEnd::Ordered,
            match (told.is_empty(), others.is_empty()) {
                (_, true) => format!("in the outbox for {}", told.join(", ")),
                (true, false) => format!("waits for {}; the ticket asks them", others.join(", ")),
                (false, false) => {
                    format!("in the outbox for {}; the ticket asks {}", told.join(", "), others.join(", "))
                }
            },
        ))
    }

    /// Hands on what only an identity system or a person can do.
    fn order(&mut self, what: &str, words: &str, more: Value) -> Result<(StepEnd, String)> {
        let Some(user) = &self.violation.user_id else { bail!("the context names no user to {words}") };
        self.orders.push(format!("{words} ({})", clean(user)));
        match self.desk.subjects {
            Some(url) => {
                self.post(what, url, more)?;
                Ok((StepEnd::Ordered, "ordered by webhook and ticket; not known to be done".to_owned()))
            }
            None => Ok((StepEnd::Ordered, "ordered by ticket alone: no webhook takes orders about users".to_owned())),
        }
    }

    fn post(&self, what: &str, url: &str, more: Value) -> Result<()> {
        if !url.starts_with("https://") {
            bail!("the address does not begin with https://");
        }
        let body = json!({
            "event": what, "violation": self.violation.id, "policy": self.violation.policy_id,
            "rules": self.violation.rules, "severity": self.violation.severity, "user_id": self.violation.user_id,
            "context": self.violation.context, "at": self.violation.at, "details": more,
        });
        self.send(what, &format!("webhook:{url}"), body.to_string())
    }

    fn ticket(&self) -> Result<(StepEnd, String)> {
        let ticket = Ticket::open(self.violation, &self.orders, self.now);
        self.desk.store.add_ticket(&ticket)?;
        self.desk.store.set_violation_state(self.violation.id, ViolationState::InProgress)?;
        match self.desk.tickets {
            Tickets::Folder(folder) => {
                std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
                let file = folder.join(format!("violation-{}.json", self.violation.id));
                let text = format!("{:#}\n", serde_json::to_value(&ticket)?);
                std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
                Ok((StepEnd::Done, format!("ticket for {} in {}", ticket.assignee, file.display())))
            }
            Tickets::Webhook(url) => {
                if !url.starts_with("https://") {
                    bail!("the tracker's address does not begin with https://");
                }
                self.send("ticket", &format!("webhook:{url}"), serde_json::to_string(&ticket)?)?;
                Ok((StepEnd::Ordered, format!("ticket for {} in the outbox", ticket.assignee)))
            }
        }
    }

    fn send(&self, what: &str, to: &str, text: String) -> Result<()> {
        self.enqueue(format!("violation:{}:{what}:{to}", self.violation.id), to, text)
    }

    fn enqueue(&self, dedup: String, to: &str, text: String) -> Result<()> {
        let message = Message {
            dedup,
            kind: MessageKind::Alert,
            to: to.to_owned(),
            subject: format!("[cost] Policy {} violated: {}", clean(&self.violation.policy_id), self.violation.context),
            text,
            html: None,
            attachments: Vec::new(),
        };
        self.desk.store.enqueue(&[outgoing(&message, Vec::new())?], self.now)?;
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = format!("{}.\n\n", self.violation.context);
        for reason in &self.violation.reasons {
            text += &format!("- {reason}\n");
        }
        text + &format!("\nPolicy {}, severity {}.\n", clean(&self.violation.policy_name), self.violation.severity)
    }
}

fn word(todo: &Todo) -> &'static str {
    match todo {
        Todo::Logged => "log",
        Todo::Classify(_) => "classify",
        Todo::Alert(_) => "alert",
        Todo::Block => "block",
        Todo::AskApproval(_) => "require_approval",
        Todo::Suspend(_) => "suspend",
        Todo::Webhook(_) => "webhook",
        Todo::AlertOperators => "alert_operators",
        Todo::Incident => "incident",
        Todo::Notify => "notify",
        Todo::Metrics => "metrics",
        Todo::Remedy(..) => "remedy",
        Todo::Review => "review",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::Severity;
    use crate::domain::violation::Stage;
    use crate::policy::{Category, EnforcementMode, ViolationAction};

    fn now() -> Instant {
        "2026-11-22T09:00:00Z".parse().unwrap()
    }

    fn violation(rules: &[&str], actions: Vec<ViolationAction>) -> PolicyViolation {
        PolicyViolation {
            policy_id: "lockout".into(),
            policy_name: "Lockout".into(),
            violated_rules: rules.iter().map(|rule| (*rule).into()).collect(),
            severity: Severity::Critical,
            category: Some(Category::Security),
            mode: EnforcementMode::Enforce,
            reasons: rules.iter().map(|rule| format!("{rule} is bad")).collect(),
            actions,
            certain: rules.iter().map(|rule| (*rule).into()).collect(),
        }
    }

    fn context() -> Context {
        Context { user_id: Some("ann".into()), ..Context::new("log in", "console") }
    }

    struct Bench {
        store: Store,
        folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Bench {
            Bench { store: Store::in_memory().unwrap(), folder: tempfile::tempdir().unwrap() }
        }

        fn process(&self, found: &PolicyViolation, subjects: Option<&str>) -> Processed {
            let tickets = Tickets::Folder(self.folder.path().join("tickets"));
            let (operators, handlers) = (["ops@example.com".to_owned()], Handlers::standard());
            let desk =
                Desk { store: &self.store, operators: &operators, handlers: &handlers, tickets: &tickets, subjects };
            process(&desk, found, &context(), now()).unwrap()
        }

        fn outbox(&self) -> Vec<String> {
            self.store.outbox_due(now(), 100).unwrap().into_iter().map(|row| row.to).collect()
        }
    }

    fn ends(processed: &Processed) -> Vec<(&str, StepEnd)> {
        processed.steps.iter().map(|step| (step.what.as_str(), step.end)).collect()
    }

    #[test]
    fn settled_9_mail_is_the_default_and_rooms_and_webhooks_stand_beside_it() {
        let recipients =
            ["fin@example.com", "email:cto@example.com", "slack:#finops", "teams:finops"].map(str::to_owned).to_vec();
        let all = |recipients| {
            vec![
                ViolationAction::Alert { recipients },
                ViolationAction::Webhook { url: "https://hooks.example.com/x".into() },
            ]
        };
        let bench = Bench::new();
        bench.process(&violation(&["r"], all(recipients)), None);
        let hook = "webhook:https://hooks.example.com/x";
        let sent = ["fin@example.com", "cto@example.com", "slack:#finops", "teams:finops", hook];
        assert_eq!(bench.outbox()[..5], sent);
        // A channel that nothing here delivers to is a failed step that says so, never a silent one.
        let bench = Bench::new();
        let processed =
            bench.process(&violation(&["r"], all(vec!["pager:finance".into(), "a@example.com".into()])), None);
        let alert = processed.steps.iter().find(|step| step.what == "alert").unwrap();
        assert_eq!(alert.end, StepEnd::Failed);
        assert!(alert.detail.contains("pager:finance") && alert.detail.contains("told: a@example.com"), "{alert:?}");
        assert_eq!(bench.outbox()[..2], ["a@example.com", "webhook:https://hooks.example.com/x"]);
    }

    #[test]
    fn m6_one_failing_step_stops_no_other_and_each_outcome_is_on_file() {
        use StepEnd::{Done, Failed, NoOp, Ordered};
        let bench = Bench::new();
        let found = violation(
            &["suspicious_login", "other"],
            vec![
                ViolationAction::Log,
                ViolationAction::Alert { recipients: vec!["nobody".into(), "sec@example.com".into()] },
                ViolationAction::Webhook { url: "http://plain.example".into() },
                ViolationAction::Block,
                ViolationAction::Suspend { duration_minutes: 60 },
                ViolationAction::Webhook { url: "https://hooks.example.com/x".into() },
            ],
        );
        let processed = bench.process(&found, None);
        assert_eq!(
            ends(&processed),
            [
                ("log", Done),
                ("classify", Done),
                ("log", Done),
                ("alert", Failed),
                ("webhook", Failed),
                ("block", NoOp),
                ("suspend", Ordered),
                ("webhook", Ordered),
                ("alert_operators", Ordered),
                ("incident", Ordered),
                ("metrics", Done),
                ("remedy", Ordered),
                ("remedy", NoOp),
                ("review", Done),
            ]
        );
        assert_eq!(bench.store.violation_steps(processed.id).unwrap(), processed.steps);
        assert_eq!(bench.outbox(), ["sec@example.com", "webhook:https://hooks.example.com/x", "ops@example.com"]);
        assert!(processed.steps[3].detail.contains("nobody is no mail address"), "{:?}", processed.steps[3]);
    }

    #[test]
    fn m7_orders_about_people_go_to_a_webhook_and_are_never_called_done() {
        let bench = Bench::new();
        let hook = "https://idp.example.com/orders";
        let processed = bench.process(&violation(&["password_expired", "mfa_not_enabled"], vec![]), Some(hook));
        let remedies: Vec<_> =
            processed.steps.iter().filter(|step| step.what == "remedy").map(|step| step.end).collect();
        assert_eq!(remedies, [StepEnd::Ordered, StepEnd::Ordered]);
        let rows = bench.store.outbox_due(now(), 100).unwrap();
        let bodies: Vec<Value> = rows
            .iter()
            .filter(|row| row.to == format!("webhook:{hook}"))
            .map(|row| serde_json::from_str::<Message>(&row.message).unwrap())
            .map(|message| serde_json::from_str(&message.text).unwrap())
            .collect();
        let events: Vec<_> = bodies.iter().map(|body| (body["event"].as_str(), body["user_id"].as_str())).collect();
        let ann = Some("ann");
        assert_eq!(events, [(Some("force_password_reset"), ann), (Some("force_mfa_enrolment"), ann)]);
    }

    #[test]
    fn m8_a_ticket_is_for_the_security_team_high_due_in_a_day_with_one_comment_and_saved() {
        let bench = Bench::new();
        let processed = bench.process(&violation(&["suspicious_login"], vec![]), None);
        let [ticket] = bench.store.tickets().unwrap().try_into().unwrap();
        assert_eq!((ticket.assignee.as_str(), ticket.priority.as_str()), ("security_team", "High"));
        assert_eq!(ticket.due_at.to_rfc3339(), "2026-11-23T09:00:00+00:00");
        let comment = "suspicious_login is bad. To do: handle the incident; lock the account and tell the user (ann).";
        assert_eq!(ticket.comments, [comment]);
        let file = bench.folder.path().join("tickets").join(format!("violation-{}.json", processed.id));
        let saved: Ticket = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(saved, ticket);
        assert_eq!(bench.store.violations_since(now()).unwrap()[0].state, ViolationState::InProgress);
    }

    #[test]
    fn m5_every_stage_is_recorded_in_order() {
        let bench = Bench::new();
        let processed = bench.process(&violation(&["suspicious_login"], vec![ViolationAction::Block]), None);
        let mut stages: Vec<Stage> = processed.steps.iter().map(|step| step.stage).collect();
        assert!(stages.is_sorted());
        stages.dedup();
        let all = [
            Stage::Detection,
            Stage::Classification,
            Stage::Action,
            Stage::Notification,
            Stage::Remediation,
            Stage::Review,
        ];
        assert_eq!(stages, all);
    }
}
