//! Exit codes (product.md, "Commands"): one table for all verbs, with an order for when several hold.

use std::process::ExitCode;

/// How a command ended. Declared in the order of precedence: of several the first wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 130 (SIGINT) or 143 (SIGTERM): stopped; the journal is consistent.
    Interrupted(u8),
    /// 75: another worker holds the lock.
    Busy,
    /// 2: bad use, settings or policy.
    BadUse,
    /// 1: failed, or something is stuck.
    Failed,
    /// 4: incomplete data.
    Incomplete,
    /// 5: plan stale, expired or drifted.
    Stale,
    /// 6: held by approval, freeze or breaker.
    Held,
    /// 3: findings at or above `--fail-on`.
    Findings,
    /// 7: `plan --detailed-exitcode` with actions due.
    ActionsDue,
    /// 0: done.
    Done,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Interrupted(code) => code,
            Exit::Busy => 75,
            Exit::BadUse => 2,
            Exit::Failed => 1,
            Exit::Incomplete => 4,
            Exit::Stale => 5,
            Exit::Held => 6,
            Exit::Findings => 3,
            Exit::ActionsDue => 7,
            Exit::Done => 0,
        }
    }

    /// The one that is told when both hold.
    pub fn and(self, other: Exit) -> Exit {
        self.min(other)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// An error that says which exit code it is; any other error is 1.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ExitError {
    /// The code.
    pub exit: Exit,
    /// What, where, what was given, what is accepted, what to do.
    pub message: String,
}

impl ExitError {
    /// An error of bad use, settings or policy.
    pub fn bad_use(message: impl ToString) -> anyhow::Error {
        ExitError { exit: Exit::BadUse, message: message.to_string() }.into()
    }

    /// An error with its code.
    pub fn with(exit: Exit, message: impl ToString) -> anyhow::Error {
        ExitError { exit, message: message.to_string() }.into()
    }
}

/// The exit code of an error.
pub fn of_error(error: &anyhow::Error) -> Exit {
    error.chain().find_map(|cause| cause.downcast_ref::<ExitError>()).map_or(Exit::Failed, |error| error.exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_codes_the_first_in_the_order_of_the_contract_wins() {
        let order = [
            Exit::Interrupted(143),
            Exit::Busy,
            Exit::BadUse,
            Exit::Failed,
            Exit::Incomplete,
            Exit::Stale,
            Exit::Held,
            Exit::Findings,
            Exit::ActionsDue,
            Exit::Done,
        ];
        let codes: Vec<u8> = order.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [143, 75, 2, 1, 4, 5, 6, 3, 7, 0]);
        for (index, first) in order.iter().enumerate() {
            for second in &order[index..] {
                assert_eq!(first.and(*second), *first);
                assert_eq!(second.and(*first), *first);
            }
        }
    }
}
