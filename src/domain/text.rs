//! Shared strings, and text that came from outside.
//!
//! Account ids, Regions, tag keys and most tag values repeat a hundred thousand times in one inventory, so the
//! adapters intern them. Any text from a tag or a name is hostile in every output (safety.md, H38):
//! [`clean`] is the first step of each sink's own encoder, never the only one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// An immutable shared string: cloning it costs a counter.
pub type Str = Arc<str>;

/// Longest piece of foreign text that any output shows, in characters.
pub const MAX_SHOWN_CHARS: usize = 256;

/// Keeps one copy of each distinct string while a partition is read.
///
/// Every text of every page goes through one, so it hashes with a faster function than the standard one, seeded anew in
/// each process.
#[derive(Default, Debug)]
pub struct Interner {
    known: HashSet<Str, foldhash::fast::RandomState>,
}

impl Interner {
    /// The shared copy of `text`.
    pub fn intern(&mut self, text: &str) -> Str {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let fresh: Str = Arc::from(text);
        self.known.insert(fresh.clone());
        fresh
    }
}

/// Foreign text made safe to place on one line: control characters, line breaks, bidirectional overrides and
/// invisible format characters become U+FFFD, and anything past [`MAX_SHOWN_CHARS`] is cut with an ellipsis.
/// HTML, CSV, headers and PDF need their own encoding on top.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_SHOWN_CHARS * 4));
    for (count, character) in text.chars().enumerate() {
        if count == MAX_SHOWN_CHARS {
            out.push('…');
            break;
        }
        out.push(if is_hostile(character) { '\u{FFFD}' } else { character });
    }
    out
}

/// The text without the user and password of each address in it (`http://user:password@host` becomes
/// `http://[left out]@host`): endpoints and proxies come from the environment and are repeated by libraries
/// (safety.md, H37).
pub fn without_logins(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let ends = |character: char| character.is_whitespace() || "/?#\"'<>\\".contains(character);
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        rest = match authority.rfind('@') {
            Some(login) => {
                out.push_str("[left out]");
                &after[login..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// An instant as people read it in a zone, with the zone's short name: `Tue 24 Nov 2026, 10:00 CET`.
pub fn shown_at(at: super::Instant, zone: chrono_tz::Tz) -> String {
    at.with_timezone(&zone).format("%a %-d %b %Y, %H:%M %Z").to_string()
}

/// Moves the cursor, hides text, or changes its direction.
pub(crate) fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{00AD}'
                | '\u{061C}'
                | '\u{180E}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFF0}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h37_the_login_in_an_address_is_left_out_and_everything_else_stays() {
        let told =
            without_logins("via http://worker:hunter2@proxy:3128/x?a=b@c to \"https://u:p@q@h\", http://plain/a@b");
        assert_eq!(told, "via http://[left out]@proxy:3128/x?a=b@c to \"https://[left out]@h\", http://plain/a@b");
        for same in ["", "a@b.example", "://", "http://", "x://é@", "mailto:a@b"] {
            assert_eq!(without_logins(same).replace("[left out]", "é"), same);
        }
    }

    #[test]
    fn an_instant_is_shown_with_its_zone_over_a_clock_change() {
        let shown = |text: &str| shown_at(text.parse().unwrap(), chrono_tz::Europe::Berlin);
        assert_eq!(shown("2026-10-25T00:30:00Z"), "Sun 25 Oct 2026, 02:30 CEST");
        assert_eq!(shown("2026-10-25T01:30:00Z"), "Sun 25 Oct 2026, 02:30 CET");
    }

    #[test]
    fn clean_replaces_what_moves_the_cursor_or_hides_text() {
        assert_eq!(clean("a\r\nBcc: x\u{202E}y\u{1b}[31m"), "a\u{FFFD}\u{FFFD}Bcc: x\u{FFFD}y\u{FFFD}[31m");
        assert_eq!(clean("Zażółć 成本"), "Zażółć 成本");
        assert_eq!(clean(&"x".repeat(300)).chars().count(), MAX_SHOWN_CHARS + 1);
    }
}
