//! The cursor: headings, paragraphs and boxes from top to bottom, with page breaks.
//!
//! Text is wrapped by measured width; a word that is wider than its column is broken, and a text that has more lines
//! than it may is cut with an ellipsis. Tables are in `table`.

use super::sheet::{Colour, HEIGHT, Sheet, Style, WIDTH};
use super::style::{BODY, HEADING, NOTE, RULE_STRONG};

/// Left and right margin, in points.
pub const MARGIN: f32 = 44.0;
/// Width between the margins.
pub const COLUMN: f32 = WIDTH - 2.0 * MARGIN;
const TOP: f32 = 46.0;
/// Lowest content; the footer is below it.
pub const BOTTOM: f32 = HEIGHT - 50.0;

/// Paper and a position on it.
pub struct Flow {
    /// The paper.
    pub sheet: Sheet,
    /// Where the next thing begins, in points from the top.
    pub y: f32,
}

impl Flow {
    /// On a first page.
    pub fn new(mut sheet: Sheet) -> Flow {
        sheet.add_page();
        Flow { sheet, y: TOP }
    }

    /// Goes to the top of a new page, unless it is there already.
    pub fn new_page(&mut self) {
        if self.y > TOP {
            self.sheet.add_page();
            self.y = TOP;
        }
    }

    /// What is left of the page.
    pub fn room(&self) -> f32 {
        BOTTOM - self.y
    }

    /// Goes to a new page unless `height` fits on this one.
    pub fn ensure(&mut self, height: f32) {
        if height > self.room() {
            self.new_page();
        }
    }

    /// Leaves a gap, unless at the top of a page.
    pub fn gap(&mut self, height: f32) {
        if self.y > TOP {
            self.y += height;
        }
    }

    /// A section's heading; it stays together with `keep` points of what follows.
    pub fn heading(&mut self, words: &str, keep: f32) {
        self.gap(15.0);
        self.ensure(HEADING.leading + 6.0 + keep);
        self.sheet.begin("H2", None);
        self.sheet.text(MARGIN, self.y + HEADING.size, HEADING, words);
        self.sheet.end();
        self.y += HEADING.leading + 4.0;
    }

    /// A paragraph over the whole column.
    pub fn paragraph(&mut self, words: &str, style: Style) {
        let lines = wrap(&self.sheet, style, words, COLUMN, usize::MAX);
        self.sheet.begin("P", None);
        for line in lines {
            self.ensure(style.leading);
            self.sheet.text(MARGIN, self.y + style.size, style, &line);
            self.y += style.leading;
        }
        self.sheet.end();
    }

    /// Paragraphs behind small squares.
    pub fn list(&mut self, items: &[String], mark: Colour) {
        self.sheet.begin("L", None);
        for item in items {
            let lines = wrap(&self.sheet, BODY, item, COLUMN - 12.0, 4);
            self.ensure(BODY.leading * lines.len() as f32);
            self.sheet.fill(MARGIN, self.y + 3.6, 3.6, 3.6, mark);
            self.sheet.begin("LI", None);
            for line in lines {
                self.sheet.text(MARGIN + 12.0, self.y + BODY.size, BODY, &line);
                self.y += BODY.leading;
            }
            self.sheet.end();
            self.y += 2.0;
        }
        self.sheet.end();
    }

    /// A line of notes under a table or tile row.
    pub fn caption(&mut self, words: &str) {
        self.ensure(NOTE.leading + 4.0);
        let line = fit(&self.sheet, NOTE, words, COLUMN);
        self.sheet.begin("P", None);
        self.sheet.text(MARGIN, self.y + NOTE.size + 3.0, NOTE, &line);
        self.sheet.end();
        self.y += NOTE.leading + 5.0;
    }

    /// A rule over the whole column.
    pub fn rule(&mut self) {
        self.sheet.rule(MARGIN, self.y, COLUMN, 0.7, RULE_STRONG);
    }

    /// The footer of every page: `left`, and "Page n of m".
    pub fn footers(&mut self, left: &str) {
        let pages = self.sheet.pages();
        for page in 0..pages {
            let number = format!("Page {} of {pages}", page + 1);
            let right = WIDTH - MARGIN - self.sheet.width(NOTE, &number);
            self.sheet.text_on(page, MARGIN, HEIGHT - 28.0, NOTE, left);
            self.sheet.text_on(page, right, HEIGHT - 28.0, NOTE, &number);
        }
    }
}

/// Breaks a text into lines of at most `width` points; the last of `most` lines is cut with an ellipsis.
pub fn wrap(sheet: &Sheet, style: Style, text: &str, width: f32, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if lines.len() + 1 == most {
            let last = rest.split_whitespace().collect::<Vec<_>>().join(" ");
            lines.push(fit(sheet, style, &last, width));
            break;
        }
        let (line, after) = first_line(sheet, style, rest, width);
        lines.push(line);
        rest = after;
    }
    lines
}

/// As many words as fit, at least a part of the first one, and what is left.
fn first_line<'a>(sheet: &Sheet, style: Style, text: &'a str, width: f32) -> (String, &'a str) {
    let mut line = String::new();
    let mut rest = text;
    while let Some(word) = rest.split_whitespace().next() {
        let candidate = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if sheet.width(style, &candidate) <= width {
            line = candidate;
            rest = rest.trim_start()[word.len()..].trim_start();
        } else if line.is_empty() {
            let head = split(sheet, style, word, width);
            rest = &rest.trim_start()[head.len()..];
            return (head, rest);
        } else {
            break;
        }
    }
    (line, rest)
}

/// A text cut with an ellipsis so that it fits into `width` points.
pub fn fit(sheet: &Sheet, style: Style, text: &str, width: f32) -> String {
    if sheet.width(style, text) <= width {
        return text.to_owned();
    }
    let end = longest_head(sheet, style, text, width - sheet.width(style, "…"));
    let head: String = text.chars().take(end).collect();
    format!("{}…", head.trim_end())
}

/// The longest head of a word that fits, at least one character. A break after `-`, `.`, `@`, `/` or `:` in the last
/// third is taken, because ids and addresses read better so.
fn split(sheet: &Sheet, style: Style, text: &str, width: f32) -> String {
    let mut head: Vec<char> = text.chars().take(longest_head(sheet, style, text, width)).collect();
    if head.len() < text.chars().count()
        && let Some(nice) =
            (head.len() * 2 / 3..head.len()).rev().find(|&at| matches!(head[at], '-' | '.' | '@' | '/' | ':'))
        && nice > 0
    {
        head.truncate(nice + 1);
    }
    head.into_iter().collect()
}

/// How many characters fit into `width` points; at least one.
fn longest_head(sheet: &Sheet, style: Style, text: &str, width: f32) -> usize {
    let mut used = 0.0;
    let fits = |character: char| {
        used += sheet.width(style, character.encode_utf8(&mut [0; 4]));
        used <= width
    };
    text.chars().map(fits).take_while(|fits| *fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::pdf::font::Faces;

    fn sheet() -> Sheet {
        Sheet::new(Faces::load().unwrap())
    }

    #[test]
    fn no_line_is_wider_than_its_column_and_no_letter_is_lost() {
        let sheet = sheet();
        let text = "a reasonably long sentence with i-0123456789abcdef0123456789abcdef0123456789 in the middle of it";
        let lines = wrap(&sheet, BODY, text, 90.0, usize::MAX);
        assert!(lines.len() > 3);
        assert!(lines.iter().all(|line| sheet.width(BODY, line) <= 90.0), "{lines:?}");
        let letters = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
        assert_eq!(letters(&lines.concat()), letters(text));
    }

    #[test]
    fn a_text_over_its_lines_ends_with_an_ellipsis() {
        let sheet = sheet();
        let lines = wrap(&sheet, BODY, &"word ".repeat(60), 100.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with('…') && sheet.width(BODY, &lines[1]) <= 100.0);
        assert_eq!(wrap(&sheet, BODY, "  a  name\twith   gaps ", 300.0, 2), ["a name with gaps"]);
        let cut = &wrap(&sheet, BODY, "<script>alert(1)</script><img>", 80.0, 1)[0];
        assert!(
            "<script>alert(1)</script><img>".starts_with(cut.trim_end_matches('…')),
            "no gap where a word is cut: {cut}"
        );
        assert_eq!(wrap(&sheet, BODY, "   ", 100.0, 2), Vec::<String>::new());
    }
}
