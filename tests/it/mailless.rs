//! A month in which no mail gets out: nobody is told, so nothing is done; then the server works, and everything starts
//! where it would have started.
//!
//! The demo's world on its own clock, the worker's own jobs at their slots, and a real SMTP server on loopback that
//! fails in another way every day. Acts are judged from the simulated cloud's log, mails from what the server kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use costwarden::app::WorldApp;
use costwarden::cloud::sim::{SimCloud, World};
use costwarden::domain::Instant;
use costwarden::domain::mode::{Arming, Mode};
use costwarden::settings::{MailBackend, MailSettings, SmtpTls};
use costwarden::store::{FindingFilter, Store};
use costwarden::worker::nightly::{Loaded, Nightly};
use costwarden::worker::outlets::Outlets;
use costwarden::worker::play::play;
use costwarden::worker::schedule::Schedule;

use crate::support::smtp::{SmtpSink, Step};

/// How the server is down, a day each.
const DOWN: [Step; 5] = [
    Step::HangUp,
    Step::Recipient(451, "greylisted, try later"),
    Step::Data(452, "out of room"),
    Step::Recipient(421, "closing"),
    Step::Data(451, "local trouble"),
];

/// The instants and targets of every change that the program asked for, snapshots among them.
fn changes(cloud: &SimCloud) -> Vec<(Instant, String, String)> {
    let calls = cloud.calls().into_iter().filter(|call| call.mutating());
    calls.map(|call| (call.at, call.operation, call.target.unwrap_or_default())).collect()
}

#[tokio::test]
async fn h45_a_month_without_mail_changes_nothing_and_loses_nothing() {
    let sink = SmtpSink::start(&[]).await;
    let mut app = WorldApp::open(World::demo().unwrap(), Mode::Enforce).unwrap();
    app.settings.mail = Some(MailSettings {
        from: "costwarden@example.com".into(),
        backend: MailBackend::Smtp {
            host: "127.0.0.1".into(),
            port: sink.address.port(),
            tls: SmtpTls::None,
            login: None,
        },
    });
    app.settings.slack.clear();
    let start = app.world.start;
    let context = app.context(Store::in_memory().unwrap()).unwrap();
    for account in &app.settings.accounts {
        let arming = Arming {
            account: account.id.clone(),
            by: "eve".into(),
            at: start,
            until: start + TimeDelta::days(90),
            policies: context.rules.hashes.clone().into_iter().collect(),
        };
        context.store.arm(&arming).unwrap();
    }
    let store = context.store.clone();
    let outlets = Arc::new(Outlets::open(&app.settings, false).unwrap());
    let schedule = Schedule::new(&app.settings.schedule, app.settings.zone).unwrap();
    let loaded = Loaded { context, outlets };
    let nightly = Nightly::new(loaded, Arc::new(app.cloud.actor()), Box::new(|_| anyhow::bail!("not asked for")));
    let seen: Mutex<Vec<(Instant, usize)>> = Mutex::default();
    let until = async |day: i64, down: bool| {
        play(
            &nightly,
            &schedule,
            &app.clock,
            start + TimeDelta::days(day),
            &[],
            |nightly| {
                let now = app.clock.now();
                let step = DOWN[(now - start).num_days() as usize % DOWN.len()];
                sink.always(down.then_some(step));
                let mut context = nightly.context();
                context.settings = Arc::new(app.settings_at(now));
                nightly.replace(context);
                Ok(())
            },
            |_, _| {
                seen.lock().unwrap().push((app.clock.now(), sink.received().len()));
                Ok(())
            },
        )
        .await
        .unwrap();
    };

    until(31, true).await;
    assert_eq!(changes(&app.cloud), [], "nobody was told");
    assert!(sink.received().is_empty() && sink.sessions() > 31, "{} sessions", sink.sessions());
    let findings = store.findings(&FindingFilter::default()).unwrap();
    assert!(findings.len() > 20);
    assert!(findings.iter().all(|finding| finding.clock.due_at.is_none() && finding.clock.first_notice.is_none()));
    let dead: BTreeSet<i64> = store.dead_letters().unwrap().iter().map(|row| row.id).collect();
    assert!(!dead.is_empty(), "what waited for two weeks is given up, shown, and decided anew");

    until(75, false).await;
    let mails = sink.received();
    let ids: Vec<&str> =
        mails.iter().filter_map(|mail| mail.data.lines().find(|line| line.starts_with("Message-ID"))).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), mails.len(), "each once");
    let left = store.outbox_counts().unwrap();
    assert_eq!((left.pending, left.delivered, left.dead), (0, mails.len() as u64, dead.len() as u64));

    // Whatever was done was told first, by a mail that names it, and long enough before.
    let told = |id: &str, before: Instant| {
        let index = mails.iter().position(|mail| mail.data.contains(id))?;
        let at = seen.lock().unwrap().iter().find(|(_, count)| *count > index).map(|(at, _)| *at)?;
        Some(before - at)
    };
    let mut done: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (at, operation, target) in changes(&app.cloud) {
        assert!(at > start + TimeDelta::days(31));
        if matches!(operation.as_str(), "StopInstances" | "DeleteVolume" | "ModifyInstanceAttribute") {
            let ahead = told(&target, at).unwrap_or_else(|| panic!("{operation} of {target} was told to nobody"));
            assert!(ahead >= TimeDelta::hours(24), "{operation} of {target} came {ahead} after its mail");
            done.entry(operation).or_default().insert(target);
        }
    }
    eprintln!("H45 sessions={} mails={} dead={} done={done:?}", sink.sessions(), mails.len(), dead.len());
    let named = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
    let volumes = named(&["vol-0ci-cache", "vol-0eu-logs", "vol-0old-database", "vol-0test-data"]);
    let machines =
        named(&["i-0audit", "i-0course", "i-0export", "i-0gap", "i-0monolith", "i-0pilot", "i-0report", "i-0sandbox"]);
    assert_eq!(
        done,
        BTreeMap::from([
            ("DeleteVolume".to_owned(), volumes),
            ("ModifyInstanceAttribute".to_owned(), named(&["i-0monolith"])),
            ("StopInstances".to_owned(), machines),
        ])
    );
}
