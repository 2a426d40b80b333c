//! What systemd is told: ready, status, alive, reloading, stopping.
//!
//! The daemon is the only caller. Without `NOTIFY_SOCKET` (a terminal, a container) nothing is sent and nothing
//! fails; a message that systemd does not take is logged and changes nothing, as the watchdog then does its work.

use std::sync::{Arc, Mutex, PoisonError};

use sd_notify::NotifyState;

use crate::domain::text::clean;

/// Where messages go.
#[derive(Clone, Debug)]
pub enum Notifier {
    /// The service manager that started us, if one did.
    Systemd,
    /// Kept in order, for tests.
    Recorded(Arc<Mutex<Vec<String>>>),
}

impl Notifier {
    /// A notifier that keeps what it is told.
    pub fn recorded() -> Notifier {
        Notifier::Recorded(Arc::default())
    }

    /// Migrations and the first settings check are done.
    pub fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(&clean(status))]);
    }

    /// One line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&[NotifyState::Status(&clean(status))]);
    }

    /// Work was finished; feeds the watchdog.
    pub fn alive(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    /// Settings are being read again; [`Notifier::ready`] ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(_) => self.send(&[NotifyState::Reloading]),
        }
    }

    /// The daemon is on its way out.
    pub fn stopping(&self, status: &str) {
        self.send(&[NotifyState::Stopping, NotifyState::Status(&clean(status))]);
    }

    /// What a recorded notifier was told; empty for systemd.
    pub fn said(&self) -> Vec<String> {
        match self {
            Notifier::Systemd => Vec::new(),
            Notifier::Recorded(said) => said.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        match self {
            Notifier::Systemd => {
                if let Err(error) = sd_notify::notify(states) {
                    tracing::debug!(%error, "systemd did not take a notification");
                }
            }
            Notifier::Recorded(said) => {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                said.extend(states.iter().map(NotifyState::to_string));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_in_systemds_words_and_a_status_is_one_line() {
        let notifier = Notifier::recorded();
        notifier.ready("next: scan\nREADY=1");
        notifier.alive();
        notifier.reloading();
        notifier.stopping("bye");
        let said = notifier.said();
        assert_eq!(said[..4], ["READY=1", "STATUS=next: scan\u{FFFD}READY=1", "WATCHDOG=1", "RELOADING=1"]);
        assert!(said[4].starts_with("MONOTONIC_USEC="));
        assert_eq!(said[5..], ["STOPPING=1", "STATUS=bye"]);
    }
}
