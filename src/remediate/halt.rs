//! Stopping at a crash point, for tests of crashes.
//!
//! The journal names its points `J6.before` and `J6.after` around each commit and `J6.call` where a request was
//! answered and the answer is not yet recorded. A debug build with `COSTWARDEN_HALT_AT=J6.after` stops there and waits
//! to be killed, one with `COSTWARDEN_HALT_AT=panic:J6.after` panics there; tests let the point fail instead, and the
//! safety campaign is asked at every point. A release build has none of it: every point is empty there.

/// Where this process stops, if anywhere.
#[derive(Clone, Debug, Default)]
pub struct Halt {
    #[cfg(debug_assertions)]
    at: Option<(String, Manner)>,
}

/// The process was told to stop at this crash point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("halted at {0}")]
pub struct Halted(pub String);

#[cfg(debug_assertions)]
#[derive(Clone)]
enum Manner {
    WaitToBeKilled,
    Panic,
    Fail,
    #[cfg(test)]
    Meanwhile(std::sync::Arc<dyn Fn() + Send + Sync>),
    Ask(std::sync::Arc<Ask>),
}

/// Is told each point that is passed and may let anything happen there; true makes the process die at it.
#[cfg(debug_assertions)]
pub type Ask = dyn Fn(String) -> futures::future::BoxFuture<'static, bool> + Send + Sync;

#[cfg(debug_assertions)]
impl std::fmt::Debug for Manner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Manner::WaitToBeKilled => "WaitToBeKilled",
            Manner::Panic => "Panic",
            Manner::Fail => "Fail",
            #[cfg(test)]
            Manner::Meanwhile(_) => "Meanwhile",
            Manner::Ask(_) => "Ask",
        })
    }
}

impl Halt {
    /// Stops nowhere.
    pub fn none() -> Halt {
        Halt::default()
    }

    /// Stops where the environment says, in debug builds alone.
    pub fn from_environment() -> Halt {
        #[cfg(debug_assertions)]
        {
            let at = std::env::var("COSTWARDEN_HALT_AT").ok().filter(|point| !point.is_empty());
            let at = at.map(|point| match point.strip_prefix("panic:") {
                Some(point) => (point.to_owned(), Manner::Panic),
                None => (point, Manner::WaitToBeKilled),
            });
            Halt { at }
        }
        #[cfg(not(debug_assertions))]
        Halt::none()
    }

    /// Fails at `point` as if the process had died there.
    #[cfg(debug_assertions)]
    pub fn failing_at(point: &str) -> Halt {
        Halt { at: Some((point.to_owned(), Manner::Fail)) }
    }

    /// Asks at every point, in debug builds alone.
    #[cfg(debug_assertions)]
    pub fn asking(ask: std::sync::Arc<Ask>) -> Halt {
        Halt { at: Some((String::new(), Manner::Ask(ask))) }
    }

    /// Lets something else happen at `point`, each time that it is passed.
    #[cfg(test)]
    pub(super) fn meanwhile(point: &str, happens: impl Fn() + Send + Sync + 'static) -> Halt {
        Halt { at: Some((point.to_owned(), Manner::Meanwhile(std::sync::Arc::new(happens)))) }
    }

    /// Passes a crash point.
    pub(super) async fn pass(&self, point: &str) -> Result<(), Halted> {
        #[cfg(debug_assertions)]
        if let Some((wanted, manner)) = &self.at
            && (wanted == point || matches!(manner, Manner::Ask(_)))
        {
            match manner {
                Manner::Ask(ask) => {
                    if ask(point.to_owned()).await {
                        return Err(Halted(point.to_owned()));
                    }
                }
                Manner::Fail => return Err(Halted(point.to_owned())),
                Manner::WaitToBeKilled => {
                    eprintln!("halted at {point}");
                    std::future::pending::<()>().await;
                }
                Manner::Panic => panic!("told to panic at {point}"),
                #[cfg(test)]
                Manner::Meanwhile(happens) => happens(),
            }
        }
        let _ = point;
        Ok(())
    }
}
