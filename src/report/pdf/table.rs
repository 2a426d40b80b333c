//! Tables: measured cells of up to a few lines, repeated heads, page breaks between rows, figures on the right.

use super::flow::{COLUMN, Flow, MARGIN, fit, wrap};
use super::sheet::{Colour, Style};
use super::style::{CELL, HEAD, NOTE, NUMBER, RULE, RULE_STRONG, STRONG, TRACK};

const PADDING: f32 = 4.2;
const GUTTER: f32 = 10.0;
const BAR: f32 = 3.0;

/// A table: its columns' widths must add up to [`COLUMN`].
pub struct Table {
    /// Named again where it goes on, on the next page.
    pub title: &'static str,
    /// From left to right.
    pub columns: Vec<Column>,
    /// From top to bottom.
    pub rows: Vec<Vec<Cell>>,
}

/// One column.
pub struct Column {
    /// Its head.
    pub title: &'static str,
    /// In points, gutter included.
    pub width: f32,
    /// Figures stand on the right.
    pub figures: bool,
}

/// One cell: a text, a smaller note below, a coloured mark before, a bar below.
#[derive(Default)]
pub struct Cell {
    text: String,
    strong: bool,
    small: bool,
    lines: usize,
    note: String,
    note_lines: usize,
    mark: Option<Colour>,
    bar: Option<(f32, Colour)>,
}

/// A column of text.
pub fn column(title: &'static str, width: f32) -> Column {
    Column { title, width, figures: false }
}

/// A column of figures.
pub fn figures(title: &'static str, width: f32) -> Column {
    Column { title, width, figures: true }
}

impl Cell {
    /// One line of text.
    pub fn new(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), lines: 1, note_lines: 1, ..Cell::default() }
    }

    /// A name: semi-bold.
    pub fn strong(text: impl Into<String>) -> Cell {
        Cell { strong: true, ..Cell::new(text) }
    }

    /// Text in the size of notes, for addresses.
    pub fn small(text: impl Into<String>) -> Cell {
        Cell { small: true, ..Cell::new(text) }
    }

    /// Up to so many lines.
    pub fn lines(self, lines: usize) -> Cell {
        Cell { lines, ..self }
    }

    /// A note below, of up to `lines` lines; a note with line breaks of its own is cut at each instead.
    pub fn note(self, note: impl Into<String>, lines: usize) -> Cell {
        Cell { note: note.into(), note_lines: lines, ..self }
    }

    /// A coloured square before the text.
    pub fn mark(self, colour: Colour) -> Cell {
        Cell { mark: Some(colour), ..self }
    }

    /// A bar below, filled to `share` of 1, starting at zero.
    pub fn bar(self, share: f32, colour: Colour) -> Cell {
        Cell { bar: Some((share.clamp(0.0, 1.0), colour)), ..self }
    }

    fn style(&self, figures: bool) -> Style {
        match (self.strong, self.small, figures) {
            (true, ..) => STRONG,
            (_, true, _) => NOTE,
            (_, _, true) => NUMBER,
            _ => CELL,
        }
    }
}

/// A cell broken into lines.
struct Laid<'a> {
    cell: &'a Cell,
    text: Vec<String>,
    note: Vec<String>,
}

impl Flow {
    /// The whole table, over as many pages as it takes.
    pub fn table(&mut self, table: &Table) {
        self.sheet.begin("Table", None);
        self.head(table, true);
        for row in &table.rows {
            let laid = self.lay(table, row);
            let height = row_height(table, &laid);
            if height > self.room() {
                self.new_page();
                self.continued(table.title);
                self.head(table, false);
            }
            self.row(table, &laid, height);
        }
        self.sheet.end();
    }

    /// How high the head and the first `rows` rows are.
    pub fn table_height(&self, table: &Table, rows: usize) -> f32 {
        head_height() + table.rows.iter().take(rows).map(|row| row_height(table, &self.lay(table, row))).sum::<f32>()
    }

    /// How many rows fit under the head into `room` points.
    pub fn rows_that_fit(&self, table: &Table, room: f32) -> usize {
        let mut used = head_height();
        let fits = |row: &Vec<Cell>| {
            used += row_height(table, &self.lay(table, row));
            used <= room
        };
        table.rows.iter().map(fits).take_while(|fits| *fits).count()
    }

    fn continued(&mut self, title: &str) {
        let open = self.sheet.aside();
        self.sheet.text(MARGIN, self.y + NOTE.size, NOTE, &format!("{title}, continued"));
        self.sheet.back(open);
        self.y += NOTE.leading + 4.0;
    }

    /// The head is read out once; where it is repeated it is furniture.
    fn head(&mut self, table: &Table, first: bool) {
        let aside = (!first).then(|| self.sheet.aside());
        let y = self.y + HEAD.size + 1.0;
        let mut x = MARGIN;
        if first {
            self.sheet.begin("TR", None);
        }
        for (number, column) in table.columns.iter().enumerate() {
            let width = table.inner_width(number);
            let title = fit(&self.sheet, HEAD, column.title, width);
            let left = if column.figures { x + width - self.sheet.width(HEAD, &title) } else { x };
            if first {
                self.sheet.begin("TH", None);
            }
            self.sheet.text(left, y, HEAD, &title);
            if first {
                self.sheet.end();
            }
            x += column.width;
        }
        match aside {
            Some(open) => self.sheet.back(open),
            None => self.sheet.end(),
        }
        self.y += head_height();
        self.sheet.rule(MARGIN, self.y, COLUMN, 0.7, RULE_STRONG);
    }

    fn lay<'a>(&self, table: &Table, row: &'a [Cell]) -> Vec<Laid<'a>> {
        let lay = |(number, (column, cell)): (usize, (&Column, &'a Cell))| {
            let indent = if cell.mark.is_some() { 9.0 } else { 0.0 };
            let width = table.inner_width(number) - indent;
            Laid {
                cell,
                text: wrap(&self.sheet, cell.style(column.figures), &cell.text, width, cell.lines),
                note: match cell.note.contains('\n') {
                    true => cell.note.lines().map(|line| fit(&self.sheet, NOTE, line, width)).collect(),
                    false => wrap(&self.sheet, NOTE, &cell.note, width, cell.note_lines),
                },
            }
        };
        table.columns.iter().zip(row).enumerate().map(lay).collect()
    }

    fn row(&mut self, table: &Table, row: &[Laid<'_>], height: f32) {
        self.sheet.begin("TR", None);
        let mut x = MARGIN;
        for (number, (column, laid)) in table.columns.iter().zip(row).enumerate() {
            self.sheet.begin("TD", None);
            self.cell(column.figures, laid, x, table.inner_width(number));
            self.sheet.end();
            x += column.width;
        }
        self.sheet.end();
        self.y += height;
        self.sheet.rule(MARGIN, self.y, COLUMN, 0.45, RULE);
    }

    fn cell(&mut self, figures: bool, laid: &Laid<'_>, x: f32, width: f32) {
        let style = laid.cell.style(figures);
        let mut y = self.y + PADDING;
        let mut left = x;
        if let Some(colour) = laid.cell.mark {
            self.sheet.fill(x, y + 2.6, 5.0, 5.0, colour);
            left += 9.0;
        }
        for (lines, style) in [(&laid.text, style), (&laid.note, NOTE)] {
            for line in lines {
                let baseline = y + style.size;
                if figures {
                    self.sheet.text_right(x + width, baseline, Style { tabular: true, ..style }, line);
                } else {
                    self.sheet.text(left, baseline, style, line);
                }
                y += style.leading;
            }
        }
        if let Some((share, colour)) = laid.cell.bar {
            // Alone in its cell, a bar stands at the height of its neighbours' text.
            let top = if laid.text.is_empty() { y + (CELL.leading - BAR) / 2.0 } else { y + 1.2 };
            self.sheet.fill(x, top, width, BAR, TRACK);
            if share > 0.0 {
                self.sheet.fill(x, top, width * share, BAR, colour);
            }
        }
    }
}

impl Table {
    /// Width of a column without its gutter; the last column has none, so that figures end at the margin.
    fn inner_width(&self, number: usize) -> f32 {
        let gutter = if number + 1 == self.columns.len() { 0.0 } else { GUTTER };
        self.columns[number].width - gutter
    }
}

fn head_height() -> f32 {
    HEAD.leading + 4.0
}

fn row_height(table: &Table, row: &[Laid<'_>]) -> f32 {
    let height = |(column, laid): (&Column, &Laid<'_>)| {
        let text = laid.text.len() as f32 * laid.cell.style(column.figures).leading;
        let bar = if laid.cell.bar.is_some() && !laid.text.is_empty() { BAR + 2.4 } else { 0.0 };
        text + laid.note.len() as f32 * NOTE.leading + bar
    };
    table.columns.iter().zip(row).map(height).fold(CELL.leading, f32::max) + 2.0 * PADDING - 1.0
}
