//! The two faces of the report: what a character looks like and how wide it is.
//!
//! The faces stand in `reports/fonts/` and are built into the binary; printpdf embeds only the glyphs that a document
//! uses. A character that the face lacks becomes a box, never nothing. There is no shaping: letters that join
//! (Arabic) or reorder (Devanagari) are boxes, because the face has none of them.

use anyhow::{Context, Result};
use printpdf::{Codepoint, FontId, ParsedFont, TextItem};

const REGULAR: &[u8] = include_bytes!("../../../reports/fonts/Inter-Regular.otf");
const SEMIBOLD: &[u8] = include_bytes!("../../../reports/fonts/Inter-SemiBold.otf");

/// Stands for every character without a glyph.
const BOX: char = '\u{25A1}';

/// Inter keeps its digits of one width under private code points from here on.
const TABULAR_ZERO: u32 = 0xE071;

/// Which of the two faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// For reading.
    Regular,
    /// For headings, names and figures in tiles.
    SemiBold,
}

/// Both faces, parsed.
pub struct Faces {
    regular: ParsedFont,
    semibold: ParsedFont,
}

impl Face {
    /// The name under which the document knows it: fixed, so that two builds are the same bytes.
    pub fn id(self) -> FontId {
        FontId(match self {
            Face::Regular => "InterRegular".to_owned(),
            Face::SemiBold => "InterSemiBold".to_owned(),
        })
    }
}

impl Faces {
    /// Parses the built-in faces; fails only if the files in `reports/fonts/` were damaged before the build.
    pub fn load() -> Result<Faces> {
        let parse = |bytes, name| {
            ParsedFont::from_bytes(bytes, 0, &mut Vec::new())
                .with_context(|| format!("the built-in face {name} does not parse"))
        };
        Ok(Faces { regular: parse(REGULAR, "Inter-Regular.otf")?, semibold: parse(SEMIBOLD, "Inter-SemiBold.otf")? })
    }

    /// The parsed face.
    pub fn parsed(&self, face: Face) -> &ParsedFont {
        match face {
            Face::Regular => &self.regular,
            Face::SemiBold => &self.semibold,
        }
    }

    /// Width of `text` in points. With `tabular`, all digits are equally wide.
    pub fn width(&self, face: Face, size: f32, text: &str, tabular: bool) -> f32 {
        text.chars().map(|character| self.advance(face, self.glyph(face, character, tabular).0)).sum::<f32>() * size
    }

    /// The glyphs to show, each with the character that copying gives back.
    pub fn items(&self, face: Face, text: &str, tabular: bool) -> Vec<TextItem> {
        let glyphs: Vec<Codepoint> = text
            .chars()
            .map(|character| {
                let (glyph, shown) = self.glyph(face, character, tabular);
                Codepoint::with_cid(glyph, 0.0, shown.to_string())
            })
            .collect();
        if glyphs.is_empty() { Vec::new() } else { vec![TextItem::GlyphIds(glyphs)] }
    }

    /// A character's glyph, and the character that it stands for: itself, or the box.
    fn glyph(&self, face: Face, character: char, tabular: bool) -> (u16, char) {
        let look = |character: char| self.parsed(face).lookup_glyph_index(character as u32).filter(|glyph| *glyph != 0);
        let found = match character {
            '0'..='9' if tabular => char::from_u32(TABULAR_ZERO + (character as u32 - '0' as u32)).and_then(look),
            // Private characters mean something else in every face: nobody's tag may show our digits.
            '\u{E000}'..='\u{F8FF}' => None,
            _ => look(character),
        };
        found.map_or_else(|| (look(BOX).unwrap_or(0), BOX), |glyph| (glyph, character))
    }

    /// Advance of a glyph in ems.
    fn advance(&self, face: Face, glyph: u16) -> f32 {
        let parsed = self.parsed(face);
        f32::from(parsed.get_horizontal_advance(glyph)) / f32::from(parsed.font_metrics.units_per_em).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_in_columns_are_equally_wide_and_prose_is_not() {
        let faces = Faces::load().unwrap();
        let width = |text, tabular| faces.width(Face::Regular, 10.0, text, tabular);
        assert!((width("$1,111.11", true) - width("$8,000.00", true)).abs() < 1e-3);
        assert!(width("1111", false) < width("0000", false));
    }

    #[test]
    fn a_character_without_a_glyph_is_a_box_and_never_nothing() {
        let faces = Faces::load().unwrap();
        for hostile in ['🦀', '成', 'ჯ', '\u{FFFD}', '\u{E071}'] {
            let (glyph, shown) = faces.glyph(Face::Regular, hostile, false);
            assert!(glyph != 0 && shown == BOX, "{hostile}");
        }
        for known in "Aäβж…–▲▼✓✗→·$−".chars() {
            assert_eq!(faces.glyph(Face::SemiBold, known, false).1, known);
        }
    }
}
