//! Who typed a command, as the operating system tells it: beside the name that somebody claims with `--by`.
//!
//! `cli` reads it, `store` writes it into the audit row of a decision and compares two of them. It names a login and no
//! person: people who share one are one here, and whoever has two is two. What cannot be told is never taken for another
//! login than one that is known.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the kernel keeps as the audit login of a process that nobody logged in for.
const UNSET: u32 = u32::MAX;

/// The login behind a command; what could not be read is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Login {
    /// The user that the command ran as.
    pub uid: Option<u32>,
    /// The user that logged in, which neither `su` nor `sudo` changes; 4294967295 where nobody did.
    pub audit_uid: Option<u32>,
    /// The login's name as the system's list of users has it.
    pub name: Option<String>,
}

impl Login {
    /// The user whose login it was: the audit login, and where there is none whom the command ran as.
    pub fn of_user(&self) -> Option<u32> {
        self.audit_uid.filter(|uid| *uid != UNSET).or(self.uid)
    }

    /// The user, if it is a person's and not one that services, root's keepers or nobody share.
    fn person(&self) -> Option<u32> {
        // What systemd gives to services, and `nobody`.
        self.of_user().filter(|uid| *uid >= 1000 && !(61_184..=65_535).contains(uid))
    }

    /// Whether these are two people's logins for certain.
    pub fn certainly_not(&self, other: &Login) -> bool {
        matches!((self.person(), other.person()), (Some(own), Some(other)) if own != other)
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.of_user()) {
            (Some(name), Some(uid)) => write!(f, "{name} ({uid})"),
            (None, Some(uid)) => write!(f, "user {uid}"),
            (_, None) => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(uid: Option<u32>, audit_uid: Option<u32>) -> Login {
        Login { uid, audit_uid, name: None }
    }

    #[test]
    fn two_logins_are_two_people_only_where_both_are_known_persons_and_differ() {
        let (ann, ben) = (login(Some(1000), Some(1000)), login(Some(1001), Some(1001)));
        assert!(ann.certainly_not(&ben) && ben.certainly_not(&ann));
        for (what, other) in [
            ("the same login", ann.clone()),
            ("the same login behind sudo", login(Some(0), Some(1000))),
            ("the same login as another user", login(Some(1001), Some(1000))),
            ("a service", login(Some(999), Some(UNSET))),
            ("root", login(Some(0), Some(0))),
            ("a dynamic user", login(Some(61_184), Some(UNSET))),
            ("nobody", login(Some(65_534), None)),
            ("unknown", login(None, None)),
        ] {
            assert!(!ann.certainly_not(&other) && !other.certainly_not(&ann), "{what}");
        }
        // Where the kernel keeps no audit login, whom the command ran as is what is known.
        assert!(ann.certainly_not(&login(Some(1001), Some(UNSET))) && ann.certainly_not(&login(Some(1001), None)));
        assert!(!ann.certainly_not(&login(Some(1000), None)));
    }
}
