//! What fuzzing runs on names and tags: foreign text into every place where somebody reads it.
//!
//! `fuzz/fuzz_targets/sinks.rs` calls [`sinks`], and so do the tests below. Held, sink by sink: no character that moves a
//! cursor or turns text around, no cell that a spreadsheet runs, no element and no attribute, nobody called and nothing
//! linked in Slack and Teams, no header line of a mail and no second recipient; and JSON gives back what was put in
//! (safety.md, H38). It stands here because all sinks can be reached from here.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::output;
use crate::deliver::mail::Mailer;
use crate::deliver::{Message, MessageKind, Outcome, slack, teams};
use crate::domain::Instant;
use crate::domain::fuzz::Feed;
use crate::domain::report::Report;
use crate::domain::text::{MAX_SHOWN_CHARS, clean, is_hostile, without_logins};
use crate::report;

/// Pieces of text; each means something to one of the sinks.
const PIECES: &[&str] = &[
    "\r\nBcc: everyone@example.com",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    "\t",
    "\u{1b}[2J",
    "\u{9b}31m",
    "\u{8}",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "\u{2028}",
    "\u{e0041}",
    "\u{85}",
    "<script>",
    "</td>",
    "<!--",
    "&lt;",
    "\" x=\"",
    "'",
    "<!channel>",
    "<@U123>",
    "<https://x|y>",
    "@everyone",
    "[x](https://y)",
    "<at>all</at>",
    "*_~`",
    "=1+1",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\",\"",
    ";",
    "{{",
    "}}",
    "{",
    "{{DATE(2026-01-01T00:00:00Z, SHORT)}}",
    "{% include 'x' %}",
    "${x}",
    "%0d%0a",
    "\\",
    "é",
    "成本",
    "🦀",
    "db-1",
    " ",
    "\u{a0}=1",
    "=?utf-8?q?x?=",
    "&",
    "http://u:p@h/",
    "://",
    "@",
];

/// Foreign text into one sink after another; the first byte chooses with which. How many it reached.
pub fn sinks(bytes: &[u8]) -> usize {
    let mut feed = Feed::new(bytes);
    let sink = feed.byte();
    let mut names: Vec<String> = Vec::new();
    while names.is_empty() || (names.len() < 8 && !feed.is_empty()) {
        names.push(if feed.byte().is_multiple_of(4) { feed.rest() } else { feed.woven(PIECES) });
    }
    for name in &names {
        cleaned(name);
    }
    let all: [fn(&[String]); 6] = [page, sheet, letter, screen, rooms, mail];
    // The dearest of them draw whole pages, so that each input goes to three.
    (0..3).for_each(|more| all[(usize::from(sink) + more) % all.len()](&names));
    3
}

/// No control, no turn of direction, no invisible character.
fn harmless(text: &str) -> bool {
    text.chars().all(|character| character == '\n' || !is_hostile(character))
}

fn cleaned(name: &str) {
    let shown = clean(name);
    assert!(!shown.chars().any(is_hostile) && shown.chars().count() <= MAX_SHOWN_CHARS + 1, "{shown:?}");
    assert_eq!(
        clean(&shown).chars().take(MAX_SHOWN_CHARS).collect::<String>(),
        shown.chars().take(MAX_SHOWN_CHARS).collect::<String>()
    );
    let told = without_logins(name);
    assert_eq!(without_logins(&told), told, "{name:?} is not settled");
    let word = "hunter2hunter2";
    let login = format!("{name} http://worker:{word}@h{name}");
    assert!(!without_logins(&login).contains(word), "{login:?} tells a password");
}

/// The sample report with a text in every place that a stranger can write.
fn with_names(names: &[String]) -> Report {
    let mut report = SAMPLE.clone();
    let mut names = names.iter().cycle().cloned();
    let mut next = || names.next().unwrap_or_default();
    report.headline = next();
    for row in &mut report.due {
        (row.name, row.owner) = (next(), Some(next()));
    }
    report.decisions.iter_mut().for_each(|row| row.name = next());
    report.acts.iter_mut().for_each(|row| (row.name, row.message) = (next(), next()));
    report.by_team.iter_mut().for_each(|row| row.team = next());
    for row in &mut report.top_findings {
        (row.name, row.owner, row.message) = (next(), Some(next()), next());
    }
    report
}

static SAMPLE: LazyLock<Report> = LazyLock::new(report::sample);

/// The tags of a page with harmless names.
static TAGS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let page = report::html::render(&with_names(&["plain".to_owned()])).expect("the sample is a page");
    tags(&page).into_iter().map(str::to_owned).collect()
});

/// Every tag of a page, as it stands there.
fn tags(html: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut rest = html;
    while let Some(begin) = rest.find('<') {
        let tag = &rest[begin..];
        let end = tag.find('>').map_or(tag.len(), |end| end + 1);
        found.insert(&tag[..end]);
        rest = &tag[end..];
    }
    found
}

fn page(names: &[String]) {
    let html = report::html::render(&with_names(names)).expect("any text makes a page");
    let strange: Vec<&str> = tags(&html).into_iter().filter(|tag| !TAGS.contains(*tag)).collect();
    assert!(strange.is_empty(), "{names:?} make {strange:?}");
    assert!(harmless(&html), "{names:?}");
}

fn sheet(names: &[String]) {
    let report = with_names(names);
    let text = report::csv::render(&report).expect("any text makes a sheet");
    let mut cells = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = cells.records().map(|row| row.expect("rows of one length")).collect();
    assert_eq!(rows.len(), report.top_findings.len() + 1, "a row came or went: {names:?}");
    for cell in rows.iter().flatten() {
        let first = cell.trim_start_matches(|character: char| character.is_whitespace()).chars().next();
        let runs = matches!(first, Some('=' | '+' | '@' | '\t' | '\r' | '\n'))
            || first == Some('-') && cell.parse::<f64>().is_err();
        assert!(!runs && harmless(cell) && !cell.contains('\n'), "{cell:?} of {names:?}");
    }
}

fn letter(names: &[String]) {
    assert!(harmless(&report::text::render(&with_names(names))), "{names:?}");
}

fn screen(names: &[String]) {
    let table = output::table(&["NAME", "X"], names.iter().map(|name| vec![name.clone(), "1".into()]));
    assert!(harmless(&table), "{names:?}: {table:?}");
    for name in names {
        let mut json = Vec::new();
        output::write_json(&mut json, &serde_json::json!({ name: name })).expect("into memory");
        let text = String::from_utf8(json).expect("JSON is UTF-8");
        assert!(harmless(&text), "{name:?}: {text:?}");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(value, serde_json::json!({ name: name }));
    }
}

fn rooms(names: &[String]) {
    for text in [names.join("\n"), names.concat()] {
        let room = slack::payload(&message(&names[0], "slack:#finops", &text));
        let shown = room["text"].as_str().expect("a text");
        assert!(!shown.contains(['<', '>']) && !entity(shown), "Slack makes something of {shown:?}");
        assert_eq!((&room["mrkdwn"], &room["link_names"]), (&false.into(), &false.into()));
        let card = teams::payload(&message(&names[0], "teams:finops", &text));
        let body = card["attachments"][0]["content"]["body"].as_array().expect("a body");
        for block in body {
            assert_eq!((&block["type"], block["inlines"].as_array().map(Vec::len)), (&"RichTextBlock".into(), Some(1)));
            let run = &block["inlines"][0];
            let shown = run["text"].as_str().expect("a text");
            assert!(run["type"] == "TextRun" && run.as_object().map(serde_json::Map::len) == Some(3), "{run}");
            assert!(!shown.is_empty() && !shown.contains("{{"), "Teams fills in {shown:?}");
            assert!(!shown.chars().any(is_hostile), "{shown:?}");
        }
    }
}

/// An ampersand that begins none of the three escapes.
fn entity(text: &str) -> bool {
    text.match_indices('&').any(|(at, _)| !["&amp;", "&lt;", "&gt;"].iter().any(|own| text[at..].starts_with(own)))
}

fn mail(names: &[String]) {
    let now = Instant::from_timestamp(1_795_428_000, 0).unwrap_or_default();
    // Nothing in it waits, so that a runtime of one thread is all it takes.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a thread is all it takes");
    let (mailer, memory) = Mailer::memory("costwarden@example.com").expect("an address");
    let text = names.concat();
    let sent = runtime.block_on(mailer.send(&message(&names[0], "ann@example.com", &text), now));
    assert_eq!(sent, Outcome::Accepted, "{names:?}");
    let mails = memory.sent();
    let bytes = String::from_utf8_lossy(&mails[0].bytes);
    let (head, _) = bytes.split_once("\r\n\r\n").expect("a head");
    let lines: Vec<&str> = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])).collect();
    let header = |line: &&str| line.split(':').next().unwrap_or_default().to_owned();
    let found: Vec<String> = lines.iter().map(header).collect();
    assert_eq!(found, *HEADERS, "{names:?}");
    assert!(lines.contains(&"To: ann@example.com"), "{head}");
    assert!(head.chars().all(|character| character.is_ascii_graphic() || " \t\r\n".contains(character)), "{head:?}");
    // As a recipient none of them is anybody, unless it is a plain address from end to end.
    let other = runtime.block_on(mailer.send(&message("x", &names[0], "x"), now));
    let plain = names[0].bytes().all(|byte| byte.is_ascii_graphic() && !b"<>,;:\"\\()[]".contains(&byte));
    assert!(other != Outcome::Accepted || plain && names[0].matches('@').count() == 1, "{:?} was written to", names[0]);
}

/// The header lines of a mail about harmless names.
static HEADERS: LazyLock<Vec<String>> = LazyLock::new(|| {
    ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
        .map(str::to_owned)
        .into()
});

fn message(subject: &str, to: &str, text: &str) -> Message {
    Message {
        dedup: "one".into(),
        kind: MessageKind::Alert,
        to: to.into(),
        subject: subject.into(),
        text: text.into(),
        html: None,
        attachments: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn h38_nasty_names_become_nothing_in_any_sink() {
        let names: Vec<String> = PIECES.iter().map(|piece| (*piece).to_owned()).collect();
        let hostile = report::sample::HOSTILE_NAMES.map(str::to_owned);
        let tripled: Vec<String> = PIECES.iter().map(|piece| piece.repeat(3)).collect();
        for names in [&names[..], &hostile, &tripled] {
            names.iter().for_each(|name| cleaned(name));
            for few in names.chunks(9) {
                [page, sheet, letter, screen, rooms, mail].iter().for_each(|sink| sink(few));
            }
            for one in names {
                [sheet, screen, rooms, mail].iter().for_each(|sink| sink(std::slice::from_ref(one)));
            }
        }
        let twice = [(0_u8..6).map(|sink| sinks(&[sink, 1, 3, 28, 29, 30])).sum::<usize>(), sinks(b"")];
        assert_eq!(twice, [18, 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        #[test]
        fn h38_any_text_becomes_nothing_in_any_sink(bytes in vec(any::<u8>(), 0..120)) {
            sinks(&bytes);
        }
    }
}
