//! Stopping at a crash point, for tests of crashes.
//!
//! The journal names its points `J6.before` and `J6.after` around each commit and `J6.call` where a request was
//! answered and the answer is not yet recorded. A debug build with `COSTWARDEN_HALT_AT=J6.after` stops there and waits
//! to be killed; tests inside the crate let the point fail instead. A release build has neither: every point is
//! empty there.

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
    Fail,
    #[cfg(test)]
    Meanwhile(std::sync::Arc<dyn Fn() + Send + Sync>),
}

#[cfg(debug_assertions)]
impl std::fmt::Debug for Manner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Manner::WaitToBeKilled => "WaitToBeKilled",
            Manner::Fail => "Fail",
            #[cfg(test)]
            Manner::Meanwhile(_) => "Meanwhile",
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
            Halt { at: at.map(|point| (point, Manner::WaitToBeKilled)) }
        }
        #[cfg(not(debug_assertions))]
        Halt::none()
    }

    /// Fails at `point` as if the process had died there.
    #[cfg(debug_assertions)]
    pub fn failing_at(point: &str) -> Halt {
        Halt { at: Some((point.to_owned(), Manner::Fail)) }
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
            && wanted == point
        {
            match manner {
                Manner::Fail => return Err(Halted(point.to_owned())),
                Manner::WaitToBeKilled => {
                    eprintln!("halted at {point}");
                    std::future::pending::<()>().await;
                }
                #[cfg(test)]
                Manner::Meanwhile(happens) => happens(),
            }
        }
        let _ = point;
        Ok(())
    }
}
