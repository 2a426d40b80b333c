//! What wakes the daemon's loop: the minute, and the signals of people and systemd.
//!
//! Both become [`Event`]s in one channel. tokio-cron-scheduler is nothing but the once-a-minute wake-up, in UTC, where
//! its fixed offsets cannot be wrong; which slots are due is computed by `slots`. A late or lost wake-up does no harm,
//! as the loop also looks by itself.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job as CronJob, JobScheduler};

/// Second 0 of every minute.
const EVERY_MINUTE: &str = "0 * * * * *";

/// Something that the daemon's loop turns for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A minute began; carries no time, the clock does.
    Tick,
    /// SIGHUP: read settings and policies again.
    Reload,
    /// SIGINT or SIGTERM: finish the running step and end.
    Stop(StopSignal),
}

/// Which signal ended the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl StopSignal {
    /// 128 and the signal's number.
    pub fn exit_code(self) -> u8 {
        match self {
            StopSignal::Interrupt => 130,
            StopSignal::Terminate => 143,
        }
    }

    /// The signal's name.
    pub fn name(self) -> &'static str {
        match self {
            StopSignal::Interrupt => "SIGINT",
            StopSignal::Terminate => "SIGTERM",
        }
    }
}

/// Turns SIGINT, SIGTERM and SIGHUP into events from now on; they no longer end the process.
///
/// # Errors
/// When the process cannot install a handler.
pub fn watch_signals(events: mpsc::Sender<Event>) -> anyhow::Result<()> {
    let listen = |kind: SignalKind, name: &str| signal(kind).with_context(|| format!("cannot listen for {name}"));
    let mut interrupt = listen(SignalKind::interrupt(), "SIGINT")?;
    let mut terminate = listen(SignalKind::terminate(), "SIGTERM")?;
    let mut hangup = listen(SignalKind::hangup(), "SIGHUP")?;
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                _ = interrupt.recv() => Event::Stop(StopSignal::Interrupt),
                _ = terminate.recv() => Event::Stop(StopSignal::Terminate),
                _ = hangup.recv() => Event::Reload,
            };
            if events.send(event).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// The running minute wake-up.
pub struct WakeUp(JobScheduler);

impl WakeUp {
    /// Starts to send [`Event::Tick`] at second 0 of every minute.
    ///
    /// # Errors
    /// When the scheduler does not start.
    pub async fn start(events: mpsc::Sender<Event>) -> anyhow::Result<WakeUp> {
        WakeUp::start_at(EVERY_MINUTE, events).await
    }

    async fn start_at(pattern: &str, events: mpsc::Sender<Event>) -> anyhow::Result<WakeUp> {
        let scheduler = JobScheduler::new().await.context("cannot make the minute wake-up")?;
        let job = CronJob::new_async(pattern, move |_, _| {
            let events = events.clone();
            // A full channel means that the loop has ticks enough to look at.
            Box::pin(async move {
                let _ = events.try_send(Event::Tick);
            })
        });
        scheduler.add(job.context("cannot make the minute wake-up's job")?).await.context("cannot add the wake-up")?;
        scheduler.start().await.context("cannot start the minute wake-up")?;
        Ok(WakeUp(scheduler))
    }

    /// Ends it.
    pub async fn stop(mut self) {
        if let Err(error) = self.0.shutdown().await {
            tracing::debug!(%error, "the minute wake-up did not stop cleanly");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn the_wake_up_sends_ticks_and_stops() {
        let (sender, mut events) = mpsc::channel(8);
        let wake_up = WakeUp::start_at("* * * * * *", sender).await.unwrap();
        for _ in 0..2 {
            assert_eq!(timeout(Duration::from_secs(5), events.recv()).await.unwrap(), Some(Event::Tick));
        }
        wake_up.stop().await;
        // At most one more was already on its way.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        while events.try_recv().is_ok() {}
        assert!(timeout(Duration::from_millis(1_500), events.recv()).await.is_err(), "ticks after the end");
    }

    #[tokio::test]
    async fn signals_to_the_process_become_events() {
        let (sender, mut events) = mpsc::channel(8);
        watch_signals(sender).unwrap();
        for (name, event) in [
            ("-HUP", Event::Reload),
            ("-INT", Event::Stop(StopSignal::Interrupt)),
            ("-TERM", Event::Stop(StopSignal::Terminate)),
        ] {
            let status = Command::new("kill").args([name, &std::process::id().to_string()]).status().unwrap();
            assert!(status.success());
            assert_eq!(timeout(Duration::from_secs(5), events.recv()).await.unwrap(), Some(event), "{name}");
        }
        assert_eq!((StopSignal::Interrupt.exit_code(), StopSignal::Terminate.exit_code()), (130, 143));
    }
}
