//! Where text goes: data to stdout, everything else to stderr; tables for people, JSON for machines.
//!
//! JSON is written as it is made, element by element, so that a hundred thousand findings are never one text in memory;
//! foreign text keeps its value in it, and what would move a terminal's cursor is written as `\u` escapes.
//! A closed pipe (`| head`) ends quietly. Colour follows the terminal and NO_COLOR (anstream). Every cell that holds
//! foreign text passes `domain::text::clean`, so that a tag cannot move the cursor.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use crate::domain::text::{clean, is_hostile, without_logins};

/// Version of every JSON document that a command prints; raised when a key changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people; may change between versions.
    #[default]
    Table,
    /// For machines; has `schema_version`.
    Json,
    /// For code review: mistakes at their lines (`policy validate`), broken rules (`evaluate`)
    Sarif,
    /// For test reports (`policy test`, `evaluate`)
    Junit,
    /// For a comment on a pull request (`evaluate`)
    Md,
}

/// Writes data to stdout. A reader that closed the pipe is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to stdout"),
    }
}

/// Writes data into a file that is there whole afterwards, or as it was: first beside it, then by its name. What is no
/// regular file, `/dev/stdout` for example, is written into as it is.
pub fn file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let whole = || -> io::Result<()> {
        if path.metadata().is_ok_and(|there| !there.is_file()) {
            return fs::write(path, bytes);
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(name);
        let mut fresh = fs::File::create(&beside)?;
        let written = fresh.write_all(bytes).and_then(|()| fresh.sync_all()).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // What is left of it is of no use; the error of interest is the first one.
            let _ = fs::remove_file(&beside);
        }
        written
    };
    whole().with_context(|| format!("writing {}", path.display()))
}

/// One line of data.
pub fn line(text: &str) -> anyhow::Result<()> {
    print(&format!("{text}\n"))
}

/// A value as JSON with two spaces of indent.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write_json(&mut out, value).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing JSON to stdout"),
    }
}

/// Writes a value as JSON with two spaces of indent and a line break after it.
///
/// # Errors
/// What the writer says, with its own kind.
pub fn write_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(&mut *out, Plain(PrettyFormatter::new()));
    value.serialize(&mut serializer)?;
    out.write_all(b"\n")
}

/// Pretty JSON whose strings hold no character that a terminal would obey; the value stays the same.
struct Plain(PrettyFormatter<'static>);

impl Formatter for Plain {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((start, character)) = rest.char_indices().find(|(_, character)| is_hostile(*character)) {
            writer.write_all(&rest.as_bytes()[..start])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[start + character.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// Tells people something beside the data.
pub fn tell(text: &str) {
    // Nothing is left to do when even stderr is gone.
    let _ = writeln!(anstream::stderr(), "{}", without_logins(text));
}

/// A table with these columns; rows are cleaned of control characters.
pub fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| clean(cell)));
    }
    let text = table.to_string();
    // The preset begins each line with a space and pads it to the table's width.
    let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    format!("{}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_keeps_foreign_text_and_writes_what_a_terminal_would_obey_as_escapes() {
        let value =
            json!({ "name": "a\u{1b}[2J\u{9b}31m\u{202e}b\u{7f}\u{e0041} Zażółć \"q\"\n", "list": [1, [], {}] });
        let mut out = Vec::new();
        write_json(&mut out, &value).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        let seen: Vec<char> = text.chars().filter(|c| is_hostile(*c) && *c != '\n').collect();
        assert!(seen.is_empty(), "{seen:?}");
        assert!(text.contains(r"\u009b31m\u202eb\u007f\udb40\udc41 Zażółć"), "{text}");
    }

    #[test]
    fn a_file_is_there_whole_or_as_it_was_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.txt");
        for text in ["first", "second, which is longer", "3"] {
            file(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
        let error = file(&folder.path().join("no/r.txt"), b"x").unwrap_err();
        assert!(format!("{error:#}").contains("writing "), "{error:#}");
        file(Path::new("/dev/null"), b"x").unwrap();
        assert!(Path::new("/dev/null").metadata().is_ok_and(|there| !there.is_file()), "it is still no file");
    }

    #[test]
    fn a_table_cell_cannot_move_the_cursor() {
        let text = table(&["NAME"], [vec!["x\u{1b}[2Jy".to_owned()]]);
        assert!(!text.contains('\u{1b}') && text.contains("x\u{FFFD}[2Jy"), "{text:?}");
    }
}
