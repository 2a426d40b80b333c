//! The loop that empties the outbox.
//!
//! Called by the worker every few seconds and by the simulator after each event. One message at a time: send, then
//! mark it durably before the next one, so a crash repeats one message at most. A channel that does not work is left
//! alone until the next call; a message that cannot be delivered waits longer each time and is given up after 14 days
//! or when the channel says never. Dead letters stay in the state, where reports show them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::TimeDelta;

use super::mail::Mailer;
use super::slack::Slack;
use super::teams::Teams;
use super::webhook::Webhooks;
use super::{Message, Outcome, frame};
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::finding::{Finding, FindingId};
use crate::domain::notice::NoticeKind;
use crate::store::{OutboxRow, Outgoing, Store};

/// Waits after the first, second, … failed attempt; the last one repeats.
const WAITS: [TimeDelta; 7] = [
    TimeDelta::minutes(1),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(5),
    TimeDelta::hours(10),
    TimeDelta::hours(24),
];

/// A message that could not be delivered for so long is given up.
pub const GIVE_UP: TimeDelta = TimeDelta::days(14);

/// Messages read at once. While a channel does not work, one call looks at no more than these.
const BATCH: usize = 500;

/// Where messages can go.
#[derive(Clone, Copy)]
pub struct Channels<'a> {
    /// Mail; without it mail waits.
    pub mailer: Option<&'a Mailer>,
    /// Slack; without it messages to rooms wait.
    pub slack: Option<&'a Slack>,
    /// Teams; without it messages to its channels wait.
    pub teams: Option<&'a Teams>,
    /// How webhooks are signed, and where they may go.
    pub webhooks: &'a Webhooks,
}

/// What one call did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Messages that a channel accepted, by their numbers.
    pub accepted: BTreeSet<i64>,
    /// The notices that they carried.
    pub notices: Vec<(FindingId, NoticeKind)>,
    /// Messages that will be tried again, by their numbers.
    pub waiting: BTreeSet<i64>,
    /// Messages that were given up, with the reason.
    pub dead: Vec<(i64, String)>,
}

impl Delivered {
    /// Both together: what waited and left later does not wait any more.
    pub fn then(mut self, later: Delivered) -> Delivered {
        let settled = |id: &i64| later.accepted.contains(id) || later.dead.iter().any(|(dead, _)| dead == id);
        self.waiting.retain(|id| !settled(id));
        self.waiting.extend(later.waiting);
        self.accepted.extend(later.accepted);
        self.notices.extend(later.notices);
        self.dead.extend(later.dead);
        self
    }
}

/// The row that the store keeps of a message.
pub fn outgoing(message: &Message, notices: Vec<(FindingId, NoticeKind)>) -> Result<Outgoing> {
    Ok(Outgoing {
        kind: message.kind.word().to_owned(),
        to: message.to.clone(),
        dedup: message.dedup.clone(),
        message: serde_json::to_string(message).context("writing a message as JSON")?,
        attachments: frame::encode(&message.attachments),
        notices,
    })
}

/// Tries everything that is due now. `move_clock` moves the clocks of a finding whose notice was accepted at the given
/// instant, inside the commit that marks the message delivered: `engine::grace::delivered`. It is not called for a
/// mail folder outside worlds, which is no delivery.
///
/// Fails only when the state cannot be read or written; what a channel says is never an error.
pub async fn deliver_due(
    store: &Store,
    channels: Channels<'_>,
    clock: &Clock,
    mut move_clock: impl FnMut(&mut Finding, NoticeKind, Instant),
) -> Result<Delivered> {
    let mut delivered = Delivered::default();
    let mut down = Down::default();
    loop {
        let rows = store.outbox_due(clock.now(), BATCH)?;
        for row in &rows {
            let service = row.to.split_once(':').map_or("", |(service, _)| service);
            let is_room = matches!(service, "slack" | "teams");
            let outcome = match down.of(service).as_ref() {
                Some(reason) if clock.now() - row.created_at < GIVE_UP => {
                    tracing::debug!(message = row.id, reason, "left for the next call: the channel does not work");
                    delivered.waiting.insert(row.id);
                    continue;
                }
                Some(reason) => Outcome::unreachable(reason.clone()),
                None => send(row, channels, clock).await,
            };
            let now = clock.now();
            let outcome = if planted!("lose-mail") { Outcome::Accepted } else { outcome };
            match outcome {
                Outcome::Accepted => {
                    let counts = is_room || channels.mailer.is_some_and(Mailer::counts);
                    let notices = store.mark_delivered(row.id, now, |finding, kind| {
                        if counts {
                            move_clock(finding, kind, now);
                        }
                    })?;
                    tracing::info!(message = row.id, kind = row.kind, notices = notices.len(), "delivered");
                    delivered.accepted.insert(row.id);
                    delivered.notices.extend(notices);
                }
                Outcome::TryLater { reason, .. } if now - row.created_at >= GIVE_UP => {
                    let reason = format!("given up after {} days: {reason}", GIVE_UP.num_days());
                    give_up(store, row, now, reason, &mut delivered)?;
                }
                Outcome::TryLater { reason, wait, channel_down } => {
                    tracing::warn!(message = row.id, reason, attempts = row.attempts + 1, "not delivered yet");
                    store.mark_failed(row.id, now, now + backoff(row.attempts, wait), &reason)?;
                    delivered.waiting.insert(row.id);
                    if channel_down {
                        *down.of(service) = Some(reason);
                    }
                }
                Outcome::Never(reason) => give_up(store, row, now, reason, &mut delivered)?,
            }
        }
        // What was left alone is still due and would be read again and again.
        if rows.len() < BATCH || down.any() {
            return Ok(delivered);
        }
    }
}

/// Why a channel does not work, found out in this call.
#[derive(Default)]
struct Down {
    mail: Option<String>,
    slack: Option<String>,
    teams: Option<String>,
    /// Webhooks are each their own channel: one that does not work says nothing of another, so this is never kept.
    hook: Option<String>,
}

impl Down {
    fn any(&self) -> bool {
        self.mail.is_some() || self.slack.is_some() || self.teams.is_some()
    }

    /// The place for the reason of what a message's `to` begins with.
    fn of(&mut self, service: &str) -> &mut Option<String> {
        match service {
            "slack" => &mut self.slack,
            "teams" => &mut self.teams,
            "webhook" => {
                self.hook = None;
                &mut self.hook
            }
            _ => &mut self.mail,
        }
    }
}

fn give_up(store: &Store, row: &OutboxRow, now: Instant, reason: String, delivered: &mut Delivered) -> Result<()> {
    tracing::error!(message = row.id, kind = row.kind, reason, "given up");
    store.mark_dead(row.id, now, &reason)?;
    delivered.dead.push((row.id, reason));
    Ok(())
}

async fn send(row: &OutboxRow, channels: Channels<'_>, clock: &Clock) -> Outcome {
    let message = match read(row) {
        Ok(message) => message,
        Err(error) => return Outcome::Never(format!("{error:#}")),
    };
    if message.to.starts_with("slack:") {
        match channels.slack {
            Some(slack) => slack.send(&message, clock).await,
            None => Outcome::unreachable("the settings name no Slack rooms"),
        }
    } else if message.to.starts_with("teams:") {
        match channels.teams {
            Some(teams) => teams.send(&message, clock).await,
            None => Outcome::unreachable("the settings name no Teams channels"),
        }
    } else if message.to.starts_with("webhook:") {
        channels.webhooks.send(&message, channels.slack, clock).await
    } else {
        match channels.mailer {
            Some(mailer) => mailer.send(&message, clock.now()).await,
            None => Outcome::unreachable("the settings have no [mail]"),
        }
    }
}

fn read(row: &OutboxRow) -> Result<Message> {
    let mut message: Message = serde_json::from_str(&row.message)
        .with_context(|| format!("message {} in the outbox does not read back", row.id))?;
    if let Some(blob) = &row.attachments {
        message.attachments = frame::decode(blob)?;
    }
    Ok(message)
}

/// The wait before the next attempt, after `attempts` earlier failures and this one.
fn backoff(attempts: u32, asked: Option<Duration>) -> TimeDelta {
    let ours = WAITS[(attempts as usize).min(WAITS.len() - 1)];
    let asked = asked.and_then(|asked| TimeDelta::from_std(asked).ok()).unwrap_or(TimeDelta::zero());
    ours.max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::mail::MemoryMailer;
    use crate::deliver::{Attachment, MessageKind};
    use crate::domain::finding::{Action, Severity};
    use crate::engine::grace;
    use crate::engine::reconcile::testing::finding;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn message(dedup: &str, to: &str) -> Message {
        Message {
            dedup: dedup.into(),
            kind: MessageKind::Alert,
            to: to.into(),
            subject: "[cost] Test".into(),
            text: "Hello".into(),
            html: None,
            attachments: vec![],
        }
    }

    struct Bench {
        store: Store,
        clock: Clock,
        mailer: Mailer,
        memory: MemoryMailer,
    }

    impl Bench {
        fn new(messages: &[Message]) -> Bench {
            let store = Store::in_memory().unwrap();
            let clock = Clock::virtual_at(at("2026-11-22T02:00:00Z"));
            let rows: Vec<Outgoing> = messages.iter().map(|message| outgoing(message, vec![]).unwrap()).collect();
            store.enqueue(&rows, clock.now()).unwrap();
            let (mailer, memory) = Mailer::memory("costwarden@example.com").unwrap();
            Bench { store, clock, mailer, memory }
        }

        async fn deliver(&self) -> Delivered {
            let channels =
                Channels { mailer: Some(&self.mailer), slack: None, teams: None, webhooks: &Webhooks::default() };
            deliver_due(&self.store, channels, &self.clock, |_, _, _| {}).await.unwrap()
        }

        fn wait(&self, wait: TimeDelta) {
            self.clock.advance_to(self.clock.now() + wait);
        }

        fn sent(&self) -> Vec<String> {
            self.memory.sent().into_iter().map(|sent| sent.message.dedup).collect()
        }
    }

    #[tokio::test]
    async fn h45_everything_is_sent_once_in_order_and_a_second_call_sends_nothing() {
        let messages: Vec<Message> = (0..520).map(|n| message(&format!("m{n:03}"), "ann@example.com")).collect();
        let bench = Bench::new(&messages);
        assert_eq!(bench.deliver().await.accepted.len(), 520);
        assert_eq!(bench.deliver().await, Delivered::default());
        let expected: Vec<String> = messages.into_iter().map(|message| message.dedup).collect();
        assert_eq!(bench.sent(), expected);
    }

    #[tokio::test]
    async fn attachments_arrive_as_they_were() {
        let pdf = Attachment { name: "r.pdf".into(), media_type: "application/pdf".into(), bytes: vec![0, 1, 255] };
        let bench = Bench::new(&[Message { attachments: vec![pdf.clone()], ..message("m", "ann@example.com") }]);
        bench.deliver().await;
        assert_eq!(bench.memory.sent()[0].message.attachments, [pdf]);
    }

    #[tokio::test]
    async fn h45_failures_wait_one_minute_then_five_thirty_and_so_on_up_to_a_day() {
        let bench = Bench::new(&[message("m", "ann@example.com")]);
        bench.memory.answer_with(Some(Outcome::try_later("451 greylisted")));
        let mut waits = Vec::new();
        for _ in 0..9 {
            bench.deliver().await;
            let row = bench.store.outbox_row(1).unwrap().unwrap();
            waits.push((row.next_try_at - bench.clock.now()).num_minutes());
            bench.wait(row.next_try_at - bench.clock.now() - TimeDelta::seconds(1));
            assert_eq!(bench.deliver().await, Delivered::default(), "not a second too early");
            bench.wait(TimeDelta::seconds(1));
        }
        assert_eq!(waits, [1, 5, 30, 120, 300, 600, 1440, 1440, 1440]);
        bench.memory.answer_with(None);
        assert_eq!(bench.deliver().await.accepted.len(), 1);
    }

    #[tokio::test]
    async fn h45_after_fourteen_days_a_message_is_a_dead_letter_with_its_last_reason() {
        let bench = Bench::new(&[message("m", "ann@example.com")]);
        bench.memory.answer_with(Some(Outcome::unreachable("connection refused")));
        let begin = bench.clock.now();
        let mut dead = Vec::new();
        while dead.is_empty() {
            dead = bench.deliver().await.dead;
            bench.wait(TimeDelta::hours(1));
        }
        let age = bench.clock.now() - begin;
        assert!(age >= GIVE_UP && age < GIVE_UP + TimeDelta::days(2), "{age}");
        assert_eq!(dead, [(1, "given up after 14 days: connection refused".to_owned())]);
        assert_eq!(bench.store.dead_letters().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_message_that_can_never_arrive_does_not_hold_the_others_up() {
        let messages = [message("bad", "ann@example.com\r\nBcc: all@example.com"), message("good", "ann@example.com")];
        let bench = Bench::new(&messages);
        let delivered = bench.deliver().await;
        assert_eq!((delivered.accepted.len(), delivered.dead.len()), (1, 1));
        assert_eq!(bench.sent(), ["good"]);
    }

    #[tokio::test]
    async fn a_server_that_is_down_is_tried_once_a_call_and_rooms_go_on() {
        let mut messages: Vec<Message> = (0..70).map(|n| message(&format!("m{n}"), "ann@example.com")).collect();
        messages.push(message("room", "slack:#finops"));
        let bench = Bench::new(&messages);
        bench.memory.answer_with(Some(Outcome::unreachable("connection refused")));
        let folder = tempfile::tempdir().unwrap();
        let slack = Slack::folder(folder.path()).unwrap();
        let channels =
            Channels { mailer: Some(&bench.mailer), slack: Some(&slack), teams: None, webhooks: &Webhooks::default() };
        let delivered = deliver_due(&bench.store, channels, &bench.clock, |_, _, _| {}).await.unwrap();
        assert_eq!((delivered.accepted.len(), delivered.waiting.len()), (1, 70));
        let tried: u32 = (1..=70).map(|id| bench.store.outbox_row(id).unwrap().unwrap().attempts).sum();
        assert_eq!(tried, 1, "the other 69 were left alone");
    }

    #[test]
    fn h47_what_waited_and_left_later_is_told_as_delivered_and_what_waits_still_is_told_once() {
        let first = Delivered { waiting: [1, 2, 3].into(), accepted: [4].into(), ..Delivered::default() };
        let dead = vec![(2, "550".to_owned())];
        let later = Delivered { waiting: [3, 6].into(), accepted: [1, 5].into(), dead, ..Delivered::default() };
        let both = first.then(later);
        assert_eq!((both.waiting, both.accepted), ([3, 6].into(), [1, 4, 5].into()));
        assert_eq!(both.dead, [(2, "550".to_owned())]);
    }

    fn with_notice(finding: &Finding) -> Bench {
        let bench = Bench::new(&[]);
        bench.store.update_findings(std::slice::from_ref(finding), &[]).unwrap();
        let notices = vec![(finding.id.clone(), NoticeKind::First)];
        let row = outgoing(&message("notice", "ann@example.com"), notices).unwrap();
        bench.store.enqueue(&[row], bench.clock.now()).unwrap();
        bench
    }

    #[tokio::test]
    async fn h09_a_clock_starts_when_the_mail_is_accepted_and_not_before() {
        let finding = finding("i-0aaa", Severity::High, Action::Stop);
        let bench = with_notice(&finding);
        let deliver = || async {
            let channels =
                Channels { mailer: Some(&bench.mailer), slack: None, teams: None, webhooks: &Webhooks::default() };
            deliver_due(&bench.store, channels, &bench.clock, grace::delivered).await.unwrap()
        };
        bench.memory.answer_with(Some(Outcome::unreachable("connection refused")));
        for _ in 0..13 {
            assert_eq!(deliver().await.notices, []);
            bench.wait(TimeDelta::days(1));
            assert_eq!(bench.store.finding(&finding.id).unwrap().unwrap().clock.first_notice, None);
        }
        bench.memory.answer_with(None);
        assert_eq!(deliver().await.notices, [(finding.id.clone(), NoticeKind::First)]);
        let clock = bench.store.finding(&finding.id).unwrap().unwrap().clock;
        assert_eq!(clock.first_notice, Some(bench.clock.now()));
        assert_eq!(
            clock.due_at,
            Some(bench.clock.now() + TimeDelta::hours(24)),
            "from the acceptance, not the decision"
        );
    }

    #[tokio::test]
    async fn h09_a_mail_folder_outside_worlds_starts_no_clock() {
        let finding = finding("i-0aaa", Severity::High, Action::Stop);
        for (counts, started) in [(false, false), (true, true)] {
            let bench = with_notice(&finding);
            let folder = tempfile::tempdir().unwrap();
            let mailer = Mailer::folder(folder.path(), "costwarden@example.com", counts).unwrap();
            let channels = Channels { mailer: Some(&mailer), slack: None, teams: None, webhooks: &Webhooks::default() };
            deliver_due(&bench.store, channels, &bench.clock, grace::delivered).await.unwrap();
            assert_eq!(bench.store.finding(&finding.id).unwrap().unwrap().clock.first_notice.is_some(), started);
        }
    }

    #[test]
    fn a_channel_that_asks_for_a_longer_wait_gets_it() {
        assert_eq!(backoff(0, Some(Duration::from_secs(600))), TimeDelta::minutes(10));
        assert_eq!(backoff(1, Some(Duration::from_secs(6))), TimeDelta::minutes(5));
    }
}
