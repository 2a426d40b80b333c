//! Mistakes in documents, for the person who reads them: where, what was given, what is accepted.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Spot;
use crate::domain::text::clean;

/// Longest excerpt of a line that is shown, in characters.
const EXCERPT_CHARS: usize = 110;

/// One mistake in one file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DocumentError {
    /// The file.
    pub file: PathBuf,
    /// Line from 1; 0 when the mistake is about the file as a whole.
    pub line: usize,
    /// Column from 1; 0 with line 0.
    pub column: usize,
    /// Path of the key, for example `spec.rules[0].severity`; empty for syntax.
    pub path: String,
    /// What is wrong, with what was given.
    pub problem: String,
    /// What is accepted, or what to do; empty when `problem` says it.
    pub accepted: String,
    /// The line of the file and the caret below it.
    excerpt: Option<(String, String)>,
}

/// All mistakes that were found; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Errors(Vec<DocumentError>);

impl DocumentError {
    /// A mistake at a position of a text.
    pub fn new(
        file: &Path,
        text: &str,
        spot: Spot,
        path: &str,
        problem: impl Into<String>,
        accepted: impl Into<String>,
    ) -> DocumentError {
        DocumentError {
            file: file.to_owned(),
            line: spot.line,
            column: spot.column,
            path: path.to_owned(),
            problem: problem.into(),
            accepted: accepted.into(),
            excerpt: excerpt(text, spot),
        }
    }

    /// A mistake about a file as a whole: missing, unreadable, empty.
    pub fn of_file(file: &Path, problem: impl Into<String>, accepted: impl Into<String>) -> DocumentError {
        DocumentError::new(file, "", Spot::default(), "", problem, accepted)
    }
}

impl Errors {
    /// The mistakes, by file and position.
    pub fn list(&self) -> &[DocumentError] {
        &self.0
    }

    /// The mistakes of several files as one.
    pub fn join(all: impl IntoIterator<Item = Errors>) -> Option<Errors> {
        let list: Vec<DocumentError> = all.into_iter().flat_map(|errors| errors.0).collect();
        (!list.is_empty()).then_some(Errors(list))
    }
}

impl From<DocumentError> for Errors {
    fn from(error: DocumentError) -> Errors {
        Errors(vec![error])
    }
}

impl From<Vec<DocumentError>> for Errors {
    /// Puts them into the file's order.
    fn from(mut list: Vec<DocumentError>) -> Errors {
        list.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        Errors(list)
    }
}

impl IntoIterator for Errors {
    type Item = DocumentError;
    type IntoIter = std::vec::IntoIter<DocumentError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", clean(&self.file.display().to_string()))?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)?;
        if let Some((line, caret)) = &self.excerpt {
            let number = self.line.to_string();
            let margin = " ".repeat(number.len());
            write!(f, "\n  {number} | {line}\n  {margin} | {caret}")?;
        }
        if !self.accepted.is_empty() {
            write!(f, "\n  accepted: {}", self.accepted)?;
        }
        Ok(())
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

/// The line at a position with a caret line below; long lines are cut around the position, and what looks like a
/// secret is not repeated.
fn excerpt(text: &str, spot: Spot) -> Option<(String, String)> {
    let line = without_secret(text.lines().nth(spot.line.checked_sub(1)?)?);
    let line: Vec<char> = line.chars().collect();
    let column = spot.column.saturating_sub(1).min(line.len());
    let start = column.saturating_sub(EXCERPT_CHARS / 2).min(line.len().saturating_sub(EXCERPT_CHARS));
    let shown = &line[start..line.len().min(start + EXCERPT_CHARS)];
    let width = spot.width.clamp(1, shown.len().saturating_sub(column - start).max(1));
    let shown: String = shown.iter().map(|c| if *c == '\t' { ' ' } else { *c }).collect();
    let caret = format!("{}{}", " ".repeat(column - start), "^".repeat(width));
    Some((clean(&shown), caret))
}

/// The line up to the first value that may be a secret: behind a key that names one, or in an address of the web
/// (a webhook's address is its password). Such keys are refused, and the refusal must not spread the value.
fn without_secret(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let behind_key = ["password", "passwd", "secret", "token", "webhook"].iter().flat_map(|word| {
        lower.match_indices(word).filter_map(|(at, _)| {
            let value = at + assignment(&lower[at..])? + 1;
            (!lower[at..value - 1].trim_end_matches([' ', '"', '\'']).ends_with("_file")).then_some(value)
        })
    });
    let behind_scheme = lower.find("://").map(|at| at + 3);
    match behind_key.chain(behind_scheme).min() {
        Some(cut) => format!("{} …", &line[..cut]),
        None => line.to_owned(),
    }
}

/// Where a value begins to be given: the first `=` or `:` that is no part of a comparison such as `>=` or `==`.
fn assignment(text: &str) -> Option<usize> {
    let compares = |at: usize| {
        let before = text[..at].ends_with(['=', '<', '>', '!']);
        before || text[at + 1..].starts_with('=')
    };
    text.match_indices(['=', ':']).map(|(at, _)| at).find(|at| !compares(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, line: usize, column: usize, width: usize) -> String {
        let spot = Spot { line, column, width };
        DocumentError::new(Path::new("a.yaml"), text, spot, "x", "is wrong", "right").to_string()
    }

    #[test]
    fn the_caret_stands_under_the_mistake() {
        insta::assert_snapshot!(show("one: 1\n  tow: 2\n", 2, 3, 3), @r"
        a.yaml:2:3: x: is wrong
          2 |   tow: 2
            |   ^^^
          accepted: right
        ");
    }

    #[test]
    fn a_long_line_is_cut_around_the_mistake_and_hostile_text_is_made_harmless() {
        let text = format!("{}BAD\u{1b}[31m{}", "x".repeat(400), "y".repeat(400));
        let shown = show(&text, 1, 401, 3);
        let lines: Vec<&str> = shown.lines().collect();
        let at = lines[2].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[1].chars().skip(at).take(3).collect::<String>(), "BAD");
        assert!(!shown.contains('\u{1b}'));
        assert!(lines[1].chars().count() < 130);
    }

    #[test]
    fn an_excerpt_never_repeats_a_secret() {
        for line in [
            "password = \"hunter2\"",
            "mail = { password_file = \"/run/x\", smtp_password = \"hunter2\" }",
            "  - token: hunter2",
            "slack = \"https://hunter2\"",
        ] {
            let shown = show(&format!("{line}\n"), 1, 1, 8);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert!(show("password=hunter2==\n", 1, 1, 8).find("hunter2").is_none());
        assert!(show("c: password.length >= 12 &&\n", 1, 4, 8).contains("length >= 12 &&"));
        assert!(show("password_file = \"/run/x\"\n", 1, 1, 8).contains("/run/x"));
    }
}
