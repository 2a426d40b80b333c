//! The head of the audit trail: what leaves with every report, so that a trail that is cut off or written anew
//! afterwards can be told from the one that was there.
//!
//! `store` makes it and follows the chain to it; reports print it; `audit verify --head` takes it back from a mail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The end of the trail at some time. Written as `ROW:HASH`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The last row's place, from 1.
    #[serde(rename = "row")]
    pub seq: i64,
    /// The last row's hash: SHA-256, 64 hexadecimal digits.
    pub hash: String,
}

/// A head as a person gives it back: with or without its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedHead {
    /// The row, where it was noted.
    pub seq: Option<i64>,
    /// The hash, in small letters.
    pub hash: String,
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl From<AuditHead> for NotedHead {
    fn from(head: AuditHead) -> NotedHead {
        NotedHead { seq: Some(head.seq), hash: head.hash }
    }
}

impl FromStr for NotedHead {
    type Err = String;

    /// Takes `ROW:HASH` as reports print it, or the hash alone.
    fn from_str(text: &str) -> Result<NotedHead, String> {
        let text = text.trim();
        let wrong = || {
            format!(
                "{text:?} is no head of an audit trail; accepted: ROW:HASH as a report prints it, or the hash alone \
                 (64 hexadecimal digits)"
            )
        };
        let (seq, hash) = match text.split_once(':') {
            Some((row, hash)) => (Some(row.parse().ok().filter(|row| *row > 0).ok_or_else(wrong)?), hash),
            None => (None, text),
        };
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        Ok(NotedHead { seq, hash: hash.to_ascii_lowercase() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_as_it_was_printed_and_nothing_else_is_taken_for_one() {
        let head = AuditHead { seq: 1204, hash: "0a".repeat(32) };
        assert_eq!(head.to_string().parse(), Ok(NotedHead::from(head.clone())));
        let bare = format!("  {} ", head.hash.to_uppercase());
        assert_eq!(bare.parse(), Ok(NotedHead { seq: None, hash: head.hash.clone() }));
        for wrong in
            ["", "1204", "1204:", "0:", &format!("0:{}", head.hash), &format!("x:{}", head.hash), "zz", &head.hash[1..]]
        {
            assert!(wrong.parse::<NotedHead>().is_err(), "{wrong:?}");
        }
    }
}
