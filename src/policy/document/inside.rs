//! A position inside a text value, found again in the file.
//!
//! A condition knows its mistakes by their offset in the text that it was given. In the file that text stands in
//! quotes, with escapes, folded over lines or as a block; this walks both side by side.

use super::{At, Checker, Spot};

impl Checker<'_> {
    /// Notes a mistake at `offset` (in bytes, `width` bytes long) of the text `value` that stands at `at`.
    pub fn fail_inside(
        &mut self,
        at: &At<'_>,
        value: &str,
        (offset, width): (usize, usize),
        problem: impl Into<String>,
        accepted: impl Into<String>,
    ) {
        let spot = locate(self.text, at.spot(), value, offset).map_or(at.spot(), |found| {
            let concerned = value.get(offset..).unwrap_or("").char_indices().take_while(|(at, _)| *at < width);
            let concerned = concerned.take_while(|(_, character)| *character != '\n').count();
            Spot { width: concerned.max(1), ..found }
        });
        self.push(spot, at.path(), problem.into(), accepted.into());
    }
}

/// Where the character at `offset` of `value` stands, when `value` begins at `spot` of the file; `None` when the
/// file writes it in a way that this does not follow.
fn locate(file: &str, spot: Spot, value: &str, offset: usize) -> Option<Spot> {
    let start = file.split_inclusive('\n').take(spot.line.checked_sub(1)?).map(str::len).sum::<usize>();
    let line = file.get(start..)?;
    let skipped = line.char_indices().nth(spot.column.checked_sub(1)?).map_or(line.len(), |(at, _)| at);
    let mut raw = Raw::open(&file[start + skipped..], spot);
    for (at, character) in value.char_indices() {
        if at >= offset {
            raw.settle(character);
            return Some(raw.spot);
        }
        raw.step(character)?;
    }
    // The end of the value: just behind its last character.
    Some(raw.spot)
}

/// The text as the file writes it.
struct Raw<'t> {
    rest: &'t str,
    spot: Spot,
    escapes: bool,
    doubled: bool,
}

impl<'t> Raw<'t> {
    fn open(rest: &'t str, spot: Spot) -> Raw<'t> {
        let mut raw = Raw { rest, spot, escapes: false, doubled: false };
        let marks = ["\"\"\"", "'''", "\"", "'", "|", ">"];
        let Some(mark) = marks.into_iter().find(|mark| rest.starts_with(mark)) else { return raw };
        raw.escapes = mark.starts_with('"');
        raw.doubled = mark == "'";
        raw.take(mark.len());
        if matches!(mark, "|" | ">") {
            // The block begins behind the line of its mark, at its own indentation.
            raw.take(raw.rest.find('\n').map_or(raw.rest.len(), |at| at + 1));
            raw.blank();
        } else if mark.len() == 3 && raw.rest.starts_with('\n') {
            raw.take(1);
        }
        raw
    }

    /// Steps over one character of the value.
    fn step(&mut self, character: char) -> Option<()> {
        self.settle(character);
        let next = self.rest.chars().next()?;
        if self.escapes && next == '\\' {
            let hex = match self.rest.chars().nth(1)? {
                'u' => 4,
                'U' => 8,
                'x' => 2,
                _ => 0,
            };
            let mut length = 2 + hex;
            // JSON writes what lies beyond the first plane as two halves.
            if hex == 4 && character as u32 > 0xffff {
                length += 6;
            }
            if !self.rest.is_char_boundary(length.min(self.rest.len())) || length > self.rest.len() {
                return None;
            }
            self.take(length);
        } else if self.doubled && character == '\'' && self.rest.starts_with("''") {
            self.take(2);
        } else if next == character {
            self.take(next.len_utf8());
        } else if character.is_whitespace() && next.is_whitespace() {
            self.blank();
        } else {
            return None;
        }
        Some(())
    }

    /// Skips indentation and line breaks that the value does not hold, and a line break that is escaped.
    fn settle(&mut self, character: char) {
        if self.escapes && self.rest.starts_with("\\\n") {
            self.take(2);
            self.blank();
        }
        if !character.is_whitespace() {
            self.blank();
        }
    }

    fn blank(&mut self) {
        self.take(self.rest.len() - self.rest.trim_start().len());
    }

    fn take(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        self.spot.pass(taken);
        self.rest = rest;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{parse_json, parse_toml, parse_yaml};
    use super::*;

    /// Line and column where `BAD` is reported, and where it stands.
    fn found(kind: &str, text: &str) -> (usize, usize) {
        let file = Path::new("a");
        let node = match kind {
            "toml" => parse_toml(file, text).unwrap(),
            "json" => parse_json(file, text).unwrap(),
            _ => parse_yaml(file, text).unwrap().remove(0),
        };
        let at = At::root(&node).key("c");
        let value = node.get("c").and_then(|node| node.text()).unwrap();
        let mut checker = Checker::new(file, text);
        checker.fail_inside(&at, value, (value.find("BAD").unwrap(), 3), "is wrong", "");
        let errors = checker.finish(()).unwrap_err();
        let shown = errors.to_string();
        assert!(shown.contains("^^^"), "{shown}");
        (errors.list()[0].line, errors.list()[0].column)
    }

    #[test]
    fn a_mistake_inside_a_text_is_shown_where_it_stands_in_the_file() {
        let cases = [
            ("toml", "c = \"a == 'ü' && BAD\"\n"),
            ("toml", "c = \"a == \\\"x\\\" \\u00e9 && BAD\"\n"),
            ("toml", "c = 'a\\b BAD'\n"),
            ("toml", "x = 1\nc = \"\"\"\na &&\n  BAD\n\"\"\"\n"),
            ("toml", "c = '''a &&\n\n BAD'''\n"),
            ("json", "{\n  \"c\": \"\\ud83d\\ude00 \\t a && BAD\"\n}\n"),
            ("yaml", "c: a == 'it' && BAD\n"),
            ("yaml", "c: 'a == ''it'' && BAD'\n"),
            ("yaml", "c: \"a \\x41 && \\\n   BAD\"\n"),
            ("yaml", "x: 1\nc: >-\n  a &&\n  b && BAD\n"),
            ("yaml", "x: 1\nc: |\n  a &&\n    b && BAD\n"),
            ("yaml", "c: a &&\n  b && BAD\n"),
        ];
        for (kind, text) in cases {
            let line = text.lines().position(|line| line.contains("BAD")).unwrap();
            let before = text.lines().nth(line).unwrap().split("BAD").next().unwrap().chars().count();
            assert_eq!(found(kind, text), (line + 1, before + 1), "{text}");
        }
    }
}
