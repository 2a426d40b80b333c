//! SIGINT and SIGTERM while a command works: the first asks it to stop where the journal is consistent.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use crate::worker::supervise::Work;

/// Runs `future` to its end. A signal cancels `work`; the exit code then is 130 or 143, else 0.
pub async fn watch<T>(work: &Work, future: impl Future<Output = T>) -> (T, Exit) {
    let mut future = std::pin::pin!(future);
    let (mut interrupt, mut terminate) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
        // Without handlers a signal ends the process at once, which the journal stands as well.
        _ => return (future.await, Exit::Done),
    };
    let mut exit = Exit::Done;
    loop {
        tokio::select! {
            result = &mut future => return (result, exit),
            Some(()) = interrupt.recv() => exit = Exit::Interrupted(130),
            Some(()) = terminate.recv() => exit = Exit::Interrupted(143),
        }
        work.cancel.cancel();
    }
}
