//! The outbox: a message once, a clock once, and nothing lost in between.

use std::collections::HashSet;

use super::*;
use crate::domain::notice::NoticeKind;

fn mail(dedup: &str, notices: &[(&Finding, NoticeKind)]) -> Outgoing {
    Outgoing {
        kind: "notice".into(),
        to: "ann@example.com".into(),
        dedup: dedup.into(),
        message: format!("{{\"dedup\":{dedup:?}}}"),
        attachments: Some(b"%PDF".to_vec()),
        notices: notices.iter().map(|(finding, kind)| (finding.id.clone(), *kind)).collect(),
    }
}

fn start_clock(finding: &mut Finding, _: NoticeKind) {
    finding.clock.first_notice = Some(minute(10));
    finding.clock.due_at = Some(minute(10 + 8 * 1440));
}

#[test]
fn the_same_message_twice_is_one_message() {
    let (store, findings) = with_findings(&["i-0a1", "i-0b2"]);
    let first = mail("notice ann 2026-11-02", &[(&findings[0], NoticeKind::First)]);
    let other = mail("notice bob 2026-11-02", &[]);
    let ids = store.enqueue(&[first.clone(), other], minute(0)).unwrap();
    let changed = Outgoing { message: "{}".into(), ..mail(&first.dedup, &[(&findings[1], NoticeKind::First)]) };
    assert_eq!(store.enqueue(&[changed], minute(5)).unwrap(), ids[..1], "the first one's number");
    let due = store.outbox_due(minute(0), 10).unwrap();
    assert_eq!(due.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
    let row = &due[0];
    assert_eq!((&row.message, &row.attachments, &row.to), (&first.message, &first.attachments, &first.to));
    assert_eq!(store.pending_notices().unwrap(), HashSet::from([(findings[0].id.clone(), NoticeKind::First)]));
    assert_eq!(store.notices_of(&findings[1].id).unwrap(), [], "what the second one spoke of was not noted");
}

#[test]
fn a_delivery_moves_message_notices_and_clocks_in_one_commit_and_once() {
    let (store, findings) = with_findings(&["i-0a1", "i-0b2"]);
    let both = [(&findings[0], NoticeKind::First), (&findings[1], NoticeKind::First)];
    let id = store.enqueue(&[mail("m", &both)], minute(0)).unwrap()[0];
    assert_eq!(store.finding(&findings[0].id).unwrap().unwrap().clock, GraceClock::default(), "queued is not told");

    let told = store.mark_delivered(id, minute(10), start_clock).unwrap();
    assert_eq!(told, both.map(|(finding, kind)| (finding.id.clone(), kind)));
    for finding in &findings {
        let stored = store.finding(&finding.id).unwrap().unwrap();
        assert_eq!((stored.clock.due_at, stored.phase), (Some(minute(10 + 8 * 1440)), Phase::InGrace));
        let events = store.finding_events(&finding.id).unwrap();
        assert_eq!((events.len(), events[0].what.as_str()), (1, "notified"));
        assert_eq!(events[0].detail, "first notice delivered to ann@example.com");
        assert_eq!(store.notices_of(&finding.id).unwrap()[0].delivered_at, Some(minute(10)));
    }
    assert_eq!(store.pending_notices().unwrap(), HashSet::new());

    let again = store.mark_delivered(id, minute(20), |_, _| panic!("a clock moves once")).unwrap();
    assert_eq!(again, []);
    assert_eq!(store.outbox_row(id).unwrap().unwrap().delivered_at, Some(minute(10)));
    assert!(store.mark_delivered(99, minute(20), start_clock).is_err());
}

#[test]
fn a_delivery_that_cannot_be_written_whole_moves_nothing() {
    let (store, findings) = with_findings(&["i-0a1"]);
    let id = store.enqueue(&[mail("m", &[(&findings[0], NoticeKind::First)])], minute(0)).unwrap()[0];
    store.lock().execute_batch("ALTER TABLE finding_event RENAME TO away").unwrap();
    store.mark_delivered(id, minute(10), start_clock).unwrap_err();
    store.lock().execute_batch("ALTER TABLE away RENAME TO finding_event").unwrap();
    assert_eq!(store.finding(&findings[0].id).unwrap().unwrap(), findings[0]);
    assert_eq!(store.outbox_row(id).unwrap().unwrap().delivered_at, None);
    assert_eq!(store.pending_notices().unwrap().len(), 1);
}

#[test]
fn a_failed_message_waits_and_a_dead_one_is_put_aside_as_never_sent() {
    let (store, findings) = with_findings(&["i-0a1"]);
    let ids = store.enqueue(&[mail("a", &[(&findings[0], NoticeKind::First)]), mail("b", &[])], minute(0)).unwrap();
    store.mark_failed(ids[0], minute(0), minute(5), "connection refused").unwrap();
    let due = |minutes: i64, limit: usize| -> Vec<i64> {
        store.outbox_due(minute(minutes), limit).unwrap().into_iter().map(|row| row.id).collect()
    };
    assert_eq!((due(4, 10), due(5, 10), due(5, 1)), (vec![ids[1]], vec![ids[1], ids[0]], vec![ids[1]]));
    let decided = || store.last_notice_decided(&findings[0].id, NoticeKind::First).unwrap();
    assert_eq!(decided(), Some(minute(0)), "undelivered ones count, so nothing is queued twice");
    assert_eq!(store.last_notices_decided().unwrap().len(), 1);

    store.mark_dead(ids[0], minute(9), "no such user").unwrap();
    assert_eq!(due(60, 10), [ids[1]]);
    assert_eq!(store.outbox_counts().unwrap(), OutboxCounts { pending: 1, delivered: 0, dead: 1 });
    let dead = store.dead_letters().unwrap();
    assert_eq!((dead.len(), dead[0].attempts, dead[0].last_error.as_deref()), (1, 2, Some("no such user")));
    assert_eq!(decided(), None, "its owner was told nothing");
    assert_eq!(store.last_notices_decided().unwrap().len(), 0);
    assert_eq!(store.pending_notices().unwrap(), HashSet::new());
    assert_eq!(store.notices_of(&findings[0].id).unwrap()[0].dead_at, Some(minute(9)));
    for refused in [store.mark_dead(ids[0], minute(10), "x"), store.mark_failed(ids[0], minute(10), minute(11), "x")] {
        assert!(refused.unwrap_err().to_string().contains("there is no message 1 in the outbox that waits"));
    }
}

#[test]
fn a_message_about_a_finding_that_is_gone_is_delivered_all_the_same() {
    let store = Store::in_memory().unwrap();
    let gone = finding("i-0a1");
    let id = store.enqueue(&[mail("m", &[(&gone, NoticeKind::Done)])], minute(0)).unwrap()[0];
    let told = store.mark_delivered(id, minute(1), |_, _| panic!("there is no clock")).unwrap();
    assert_eq!(told, [(gone.id, NoticeKind::Done)]);
}
