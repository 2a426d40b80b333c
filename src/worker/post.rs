//! Mail while acts are under way: a run of acts may wait for hours, and what went wrong in its first minute must be heard
//! in five (safety.md, H21).
//!
//! Handed to a run of acts by the worker and by the commands that act. Between two looks of the run it works through the
//! outbox beside it, so that a slow mail server never keeps an instance standing half-way. Whoever works through the
//! outbox afterwards asks for [`Post::rest`] first: two at once would send one message twice.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::task::JoinHandle;

use super::outlets::Outlets;
use crate::clock::Clock;
use crate::deliver::outbox::{Delivered, deliver_due};
use crate::engine::grace;
use crate::store::Store;

/// Works through the outbox beside something else.
pub struct Post {
    store: Arc<Store>,
    outlets: RwLock<Arc<Outlets>>,
    clock: Clock,
    running: Mutex<Option<JoinHandle<()>>>,
    brought: Arc<Mutex<Delivered>>,
}

impl Post {
    /// Of this state, through these channels.
    pub fn new(store: Arc<Store>, outlets: Arc<Outlets>, clock: Clock) -> Arc<Post> {
        let outlets = RwLock::new(outlets);
        Arc::new(Post { store, outlets, clock, running: Mutex::default(), brought: Arc::default() })
    }

    /// Begins with what is due now, unless it is under way already. On a virtual clock it is done when this returns.
    pub async fn go(&self) {
        let outlets = self.outlets.read().unwrap_or_else(PoisonError::into_inner).clone();
        let work = deliver(self.store.clone(), outlets, self.clock.clone(), self.brought.clone());
        if let Clock::Virtual(_) = self.clock {
            return work.await;
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_none_or(JoinHandle::is_finished) {
            *running = Some(tokio::spawn(work));
        }
    }

    /// From the next time on through these channels.
    pub fn renew(&self, outlets: Arc<Outlets>) {
        *self.outlets.write().unwrap_or_else(PoisonError::into_inner) = outlets;
    }

    /// Waits for what is under way, and says what came of everything since the last time.
    pub async fn rest(&self) -> Delivered {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running
            && let Err(error) = running.await
        {
            tracing::error!(%error, "the outbox could not be worked through beside the acts");
        }
        std::mem::take(&mut self.brought.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn deliver(store: Arc<Store>, outlets: Arc<Outlets>, clock: Clock, brought: Arc<Mutex<Delivered>>) {
    match deliver_due(&store, outlets.channels(), &clock, grace::delivered).await {
        Ok(delivered) => {
            let mut brought = brought.lock().unwrap_or_else(PoisonError::into_inner);
            *brought = std::mem::take(&mut *brought).then(delivered);
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the outbox could not be worked through beside the acts");
        }
    }
}
