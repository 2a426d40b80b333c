//! Answers as Markdown, for a comment on a pull request.
//!
//! Names and tags come from whoever wrote the request, and a comment speaks in the gate's name: every character of
//! foreign text that Markdown, HTML or a mention could be made of is written as an entity, inside `<code>`, where
//! nobody is mentioned and nothing links.

use std::fmt::Write;

use super::Answers;
use super::document::{beside, cost, lines};
use crate::domain::text::clean;
use crate::policy::decide::Answer;

/// Most rows of a table; a comment has a limit of its own.
const MAX_ROWS: usize = 100;

/// The comment.
pub fn render(answers: &Answers) -> String {
    let sign = match answers.worst() {
        Answer::Allow => "✅",
        Answer::Warn => "⚠️",
        Answer::RequireApproval => "✋",
        Answer::Deny => "⛔",
    };
    let mut text = format!("### {sign} costwarden: {}\n", foreign(&answers.message()));
    let lines = lines(answers);
    if !lines.is_empty() {
        text += "\n| Leads to | Rule | On | Why |\n|---|---|---|---|\n";
        for line in lines.iter().take(MAX_ROWS) {
            let rule = format!("{}/{}", line.policy, line.rule);
            let effect = line.effect.word().replace('_', " ");
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {effect} | {} | {} | {} |",
                foreign(&rule),
                foreign(line.resource),
                foreign(line.message)
            );
        }
        if lines.len() > MAX_ROWS {
            let _ = writeln!(text, "\nand {} more.", lines.len() - MAX_ROWS);
        }
    }
    if let Some(cost) = cost(answers) {
        let _ = writeln!(text, "\n{}", cost.replace('$', "&#36;"));
    }
    let mut notes: Vec<String> = answers
        .judged
        .iter()
        .flat_map(|judged| &judged.unpriced)
        .map(|(resource, reason)| format!("not priced: {} {}", foreign(resource), foreign(reason)))
        .collect();
    notes.extend(beside(answers).map(foreign));
    notes.extend(answers.not_judged.iter().map(|address| format!("judged by nothing here: {}", foreign(address))));
    if !notes.is_empty() {
        text += "\n";
        for note in notes.iter().take(MAX_ROWS) {
            let _ = writeln!(text, "- {note}");
        }
    }
    text
}

/// Text that nobody here wrote.
fn foreign(text: &str) -> String {
    let mut out = String::from("<code>");
    for character in clean(text).chars() {
        match character {
            ' ' | ',' | '0'..='9' | 'a'..='z' | 'A'..='Z' => out.push(character),
            _ if character.is_ascii() => {
                let _ = write!(out, "&#{};", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out + "</code>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h38_foreign_text_can_be_neither_markup_nor_a_mention_nor_a_new_row() {
        let hostile = foreign(
            "a|b\n<img src=x onerror=alert(1)> @all `x` [t](https://e.example) </code> \u{202e}#1 **b** $x$ &lt;",
        );
        assert!(hostile.starts_with("<code>") && hostile.ends_with("</code>"));
        let inner = &hostile[6..hostile.len() - 7];
        let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | ',' | '&' | '#' | ';' | '\u{FFFD}');
        assert!(inner.chars().all(plain), "{inner}");
        assert!(inner.contains("a&#124;b\u{FFFD}&#60;img"), "{inner}");
        assert!(inner.contains("&#64;all") && inner.contains("&#38;lt&#59;"), "{inner}");
    }
}
