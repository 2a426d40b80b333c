//! Paper: pages in points from the top left, text and shapes on them, and what each piece of text is.
//!
//! The only file that speaks printpdf's page operators. Every text belongs to an element of the structure tree
//! (heading, paragraph, table cell, figure), so that a screen reader follows the order in which it was written;
//! shapes, rules and the footer are artifacts. Leaves out: wrapping and page breaks (`flow`), saving (`document`).

use std::collections::BTreeMap;

use printpdf::{
    Color, DictItem, Line, LinePoint, Mm, Op, PaintMode, PdfFontHandle, PdfPage, Point, Pt, Rect, Rgb, TextMatrix,
};

use super::font::{Face, Faces};

/// A4, in points.
pub const WIDTH: f32 = 595.28;
/// A4, in points.
pub const HEIGHT: f32 = 841.89;

/// Red, green, blue in 0 to 255.
pub type Colour = [u8; 3];

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The face.
    pub face: Face,
    /// Size in points.
    pub size: f32,
    /// Distance of baselines in points.
    pub leading: f32,
    /// Colour.
    pub colour: Colour,
    /// Digits of one width, for columns.
    pub tabular: bool,
}

/// One element of the structure tree.
pub struct Node {
    /// For example `H1`, `P`, `TD`.
    pub tag: &'static str,
    /// Its parent; the root is its own.
    pub parent: usize,
    /// What it holds, in reading order.
    pub kids: Vec<Kid>,
    /// What a figure shows, in words.
    pub alt: Option<String>,
}

/// What an element holds.
pub enum Kid {
    /// Another element.
    Node(usize),
    /// A piece of a page's content.
    Content {
        /// Page, from 0.
        page: usize,
        /// Number of the piece on its page.
        mcid: usize,
    },
}

/// All pages and the tree.
pub struct Sheet {
    faces: Faces,
    /// Operators by page.
    pages: Vec<Vec<Op>>,
    /// By page, the element of each piece of content.
    pieces: Vec<Vec<usize>>,
    nodes: Vec<Node>,
    open: Vec<usize>,
}

impl Sheet {
    /// No pages yet; the tree has its root.
    pub fn new(faces: Faces) -> Sheet {
        let root = Node { tag: "Document", parent: 0, kids: Vec::new(), alt: None };
        Sheet { faces, pages: Vec::new(), pieces: Vec::new(), nodes: vec![root], open: Vec::new() }
    }

    /// Begins a page; what follows is drawn on it.
    pub fn add_page(&mut self) {
        self.pages.push(Vec::new());
        self.pieces.push(Vec::new());
    }

    /// Number of pages.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Opens an element.
    pub fn begin(&mut self, tag: &'static str, alt: Option<String>) {
        let parent = self.open.last().copied().unwrap_or(0);
        let node = self.nodes.len();
        self.nodes.push(Node { tag, parent, kids: Vec::new(), alt });
        self.nodes[parent].kids.push(Kid::Node(node));
        self.open.push(node);
    }

    /// Closes the element that was opened last.
    pub fn end(&mut self) {
        self.open.pop();
    }

    /// Leaves all elements for a moment: what follows is furniture. [`Sheet::back`] returns to them.
    pub fn aside(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.open)
    }

    /// Returns to the elements that [`Sheet::aside`] left.
    pub fn back(&mut self, open: Vec<usize>) {
        self.open = open;
    }

    /// Width of a text in a style.
    pub fn width(&self, style: Style, text: &str) -> f32 {
        self.faces.width(style.face, style.size, text, style.tabular)
    }

    /// One line of text with its baseline `y` points below the top. Outside any element it is an artifact.
    pub fn text(&mut self, x: f32, y: f32, style: Style, text: &str) {
        let page = self.pages.len() - 1;
        self.text_on(page, x, y, style, text);
    }

    /// The same on a given page: for the footers, once the number of pages is known.
    pub fn text_on(&mut self, page: usize, x: f32, y: f32, style: Style, text: &str) {
        let items = self.faces.items(style.face, text, style.tabular);
        if items.is_empty() {
            return;
        }
        let begin = match self.open.last().copied() {
            Some(node) => {
                let mcid = self.pieces[page].len();
                self.pieces[page].push(node);
                self.nodes[node].kids.push(Kid::Content { page, mcid });
                let properties = BTreeMap::from([("MCID".to_owned(), DictItem::Int(mcid as i64))]);
                Op::BeginMarkedContentWithProperties {
                    tag: self.nodes[node].tag.to_owned(),
                    properties: DictItem::Dict { map: properties },
                }
            }
            None => Op::BeginMarkedContent { tag: "Artifact".to_owned() },
        };
        self.pages[page].extend([
            begin,
            Op::StartTextSection,
            Op::SetFillColor { col: colour(style.colour) },
            Op::SetFont { font: PdfFontHandle::External(style.face.id()), size: Pt(style.size) },
            Op::SetTextMatrix { matrix: TextMatrix::Raw([1.0, 0.0, 0.0, 1.0, round(x), round(HEIGHT - y)]) },
            Op::ShowText { items },
            Op::EndTextSection,
            Op::EndMarkedContent,
        ]);
    }

    /// A text that ends at `right`.
    pub fn text_right(&mut self, right: f32, y: f32, style: Style, text: &str) {
        self.text(right - self.width(style, text), y, style, text);
    }

    /// A filled rectangle with its top left at `x`, `y`.
    pub fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, fill: Colour) {
        let mut rectangle =
            Rect::from_xywh(Pt(round(x)), Pt(round(HEIGHT - y - height)), Pt(round(width)), Pt(round(height)));
        rectangle.mode = Some(PaintMode::Fill);
        self.shape([Op::SetFillColor { col: colour(fill) }, Op::DrawRectangle { rectangle }]);
    }

    /// A horizontal rule.
    pub fn rule(&mut self, x: f32, y: f32, width: f32, thickness: f32, ink: Colour) {
        self.line(&[(x, y), (x + width, y)], thickness, ink);
    }

    /// A line through points.
    pub fn line(&mut self, points: &[(f32, f32)], thickness: f32, ink: Colour) {
        let points = points
            .iter()
            .map(|(x, y)| LinePoint { p: Point { x: Pt(round(*x)), y: Pt(round(HEIGHT - y)) }, bezier: false })
            .collect();
        self.shape([
            Op::SetOutlineColor { col: colour(ink) },
            Op::SetOutlineThickness { pt: Pt(thickness) },
            Op::DrawLine { line: Line { points, is_closed: false } },
        ]);
    }

    /// The pages for printpdf, the elements of each page's pieces, and the tree.
    pub fn finish(self) -> (Vec<PdfPage>, Vec<Vec<usize>>, Vec<Node>, Faces) {
        let (width, height) = (Mm::from(Pt(WIDTH)), Mm::from(Pt(HEIGHT)));
        let pages = self.pages.into_iter().map(|ops| PdfPage::new(width, height, ops)).collect();
        (pages, self.pieces, self.nodes, self.faces)
    }

    fn shape<const N: usize>(&mut self, ops: [Op; N]) {
        if let Some(page) = self.pages.last_mut() {
            page.push(Op::BeginMarkedContent { tag: "Artifact".to_owned() });
            page.extend(ops);
            page.push(Op::EndMarkedContent);
        }
    }
}

/// Hundredths of a point are enough, and keep the file small.
fn round(value: f32) -> f32 {
    (value * 100.0).round() / 100.0
}

fn colour([red, green, blue]: Colour) -> Color {
    let part = |value: u8| (f32::from(value) / 255.0 * 1000.0).round() / 1000.0;
    Color::Rgb(Rgb::new(part(red), part(green), part(blue), None))
}
