//! What the report looks like: one scale of sizes, one calm palette.
//!
//! Accents are Okabe–Ito's, which people with any kind of colour vision tell apart; a colour is never the only sign.
//! Text colours have a contrast of at least 4.5 to 1 on white and on the panels.

use super::font::Face;
use super::sheet::{Colour, Style};
use crate::domain::finding::Severity;
use crate::domain::report::Level;

/// Text.
pub const INK: Colour = [0x16, 0x21, 0x2b];
/// Second lines, captions.
pub const MUTED: Colour = [0x51, 0x60, 0x6d];
/// Rules between rows.
pub const RULE: Colour = [0xdf, 0xe5, 0xea];
/// Rules under column heads.
pub const RULE_STRONG: Colour = [0xa9, 0xb5, 0xbf];
/// Tiles.
pub const PANEL: Colour = [0xf3, 0xf6, 0xf8];
/// The box that says how to stop an act.
pub const PANEL_BLUE: Colour = [0xea, 0xf3, 0xf9];
/// The box that says what could not be read.
pub const PANEL_AMBER: Colour = [0xfd, 0xf4, 0xe3];
/// Unfilled part of a bar.
pub const TRACK: Colour = [0xdf, 0xe5, 0xea];
/// Okabe–Ito blue.
pub const BLUE: Colour = [0x00, 0x72, 0xb2];
/// Okabe–Ito bluish green.
pub const GREEN: Colour = [0x00, 0x9e, 0x73];
/// Okabe–Ito orange.
pub const ORANGE: Colour = [0xe6, 0x9f, 0x00];
/// Okabe–Ito vermillion.
pub const VERMILLION: Colour = [0xd5, 0x5e, 0x00];
/// Okabe–Ito sky blue.
pub const SKY: Colour = [0x56, 0xb4, 0xe9];
/// For what is not known or does not matter.
pub const GREY: Colour = [0x8a, 0x97, 0xa3];

const fn style(face: Face, size: f32, leading: f32, colour: Colour) -> Style {
    Style { face, size, leading, colour, tabular: false }
}

/// The report's title.
pub const TITLE: Style = style(Face::SemiBold, 21.0, 26.0, INK);
/// The program's name above it.
pub const BRAND: Style = style(Face::SemiBold, 8.5, 11.0, BLUE);
/// The one sentence that sums it up.
pub const HEADLINE: Style = style(Face::Regular, 11.5, 16.0, INK);
/// Sections.
pub const HEADING: Style = style(Face::SemiBold, 11.5, 15.0, INK);
/// Figures in tiles.
pub const FIGURE: Style = style(Face::SemiBold, 18.0, 22.0, INK);
/// Running text.
pub const BODY: Style = style(Face::Regular, 8.6, 12.0, INK);
/// Names.
pub const STRONG: Style = style(Face::SemiBold, 8.2, 11.0, INK);
/// Table cells.
pub const CELL: Style = style(Face::Regular, 8.2, 11.0, INK);
/// Figures in table cells.
pub const NUMBER: Style = Style { tabular: true, ..CELL };
/// Second lines of cells, captions, labels.
pub const NOTE: Style = style(Face::Regular, 7.2, 9.4, MUTED);
/// Column heads.
pub const HEAD: Style = style(Face::SemiBold, 7.2, 9.4, MUTED);

/// A severity's colour.
pub fn severity(severity: Severity) -> Colour {
    match severity {
        Severity::Critical => VERMILLION,
        Severity::High => ORANGE,
        Severity::Medium => SKY,
        Severity::Low => GREY,
    }
}

/// A level's colour.
pub fn level(level: Level) -> Colour {
    match level {
        Level::Compliant => GREEN,
        Level::Partial => ORANGE,
        Level::NonCompliant => VERMILLION,
        Level::Unknown => GREY,
    }
}

/// A status word's colour.
pub fn status(status: &str) -> Colour {
    match status {
        "completed" => GREEN,
        "failed" => VERMILLION,
        _ => GREY,
    }
}
