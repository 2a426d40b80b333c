//! Saving: fonts, metadata, structure tree, and everything that would differ between two builds made fixed.
//!
//! printpdf writes no tags, numbers the file at random and swallows write errors, so the document is completed here
//! before it is written: language, title display, the tree of elements, an id that derives from the content.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use printpdf::{DictItem, OffsetDateTime, PdfDocument, PdfFont, PdfSaveOptions, PdfWarnMsg, to_lopdf_doc};
use sha2::{Digest, Sha256};

use super::font::Face;
use super::sheet::{Kid, Node, Sheet};
use crate::domain::Instant;

/// What the document says about itself.
pub struct About {
    /// Its title.
    pub title: String,
    /// What it is about.
    pub subject: String,
    /// When the report was made.
    pub at: Instant,
}

/// An object's number in the file.
type ObjectNumber = (u32, u16);

/// The finished file. The same sheet gives the same bytes.
pub fn save(sheet: Sheet, about: &About) -> Result<Vec<u8>> {
    let (pages, pieces, nodes, faces) = sheet.finish();
    let mut document = PdfDocument::new(&about.title);
    for face in [Face::Regular, Face::SemiBold] {
        document.resources.fonts.map.insert(face.id(), PdfFont::new(faces.parsed(face).clone()));
    }
    let at = OffsetDateTime::from_unix_timestamp(about.at.timestamp())
        .map_err(|reason| anyhow::anyhow!("the report's date {} cannot be written into a PDF: {reason}", about.at))?;
    let info = &mut document.metadata.info;
    info.subject.clone_from(&about.subject);
    "costwarden".clone_into(&mut info.creator);
    "costwarden".clone_into(&mut info.producer);
    "costwarden".clone_into(&mut info.author);
    (info.creation_date, info.modification_date, info.metadata_date) = (at, at, at);
    document.with_pages(pages);

    let mut warnings: Vec<PdfWarnMsg> = Vec::new();
    let mut file = to_lopdf_doc(&document, &PdfSaveOptions::default(), &mut warnings);
    if let Some(warning) = warnings.first() {
        bail!("laying out the report as PDF: {warning:?}");
    }
    "1.7".clone_into(&mut file.version);

    let page_ids: Vec<ObjectNumber> = file.get_pages().into_values().collect();
    let node_ids: Vec<ObjectNumber> = nodes.iter().map(|_| file.new_object_id()).collect();
    let root_id = file.new_object_id();
    for (number, node) in nodes.iter().enumerate() {
        let parent = if number == 0 { root_id } else { node_ids[node.parent] };
        file.set_object(node_ids[number], element(node, parent, &node_ids, &page_ids).to_lopdf());
    }
    file.set_object(root_id, tree(&pieces, &node_ids).to_lopdf());
    for (number, page) in page_ids.iter().enumerate() {
        let page = file.get_object_mut(*page)?.as_dict_mut()?;
        page.set("StructParents", number as i64);
        page.set("Tabs", DictItem::Name(b"S".to_vec()).to_lopdf());
    }
    let catalog = file.trailer.get(b"Root")?.as_reference()?;
    let catalog = file.get_object_mut(catalog)?.as_dict_mut()?;
    catalog.set("StructTreeRoot", reference(root_id).to_lopdf());
    catalog.set("MarkInfo", dict([("Marked", DictItem::Bool(true))]).to_lopdf());
    catalog.set("Lang", text("en").to_lopdf());
    catalog.set("ViewerPreferences", dict([("DisplayDocTitle", DictItem::Bool(true))]).to_lopdf());

    // printpdf names a print standard that this file does not claim to follow.
    let info = file.trailer.get(b"Info")?.as_reference()?;
    file.get_object_mut(info)?.as_dict_mut()?.remove(b"GTS_PDFXVersion");

    file.compress();
    // The id is derived from the whole file as it is without one.
    let id = |bytes: Vec<u8>| DictItem::Array(vec![DictItem::Bytes(bytes.clone()), DictItem::Bytes(bytes)]).to_lopdf();
    file.trailer.set("ID", id(vec![0; 16]));
    let mut bytes = Vec::new();
    file.save_to(&mut bytes).context("writing the PDF")?;
    let digest = Sha256::digest(&bytes);
    file.trailer.set("ID", id(digest[..16].to_vec()));
    bytes.clear();
    file.save_to(&mut bytes).context("writing the PDF")?;
    Ok(bytes)
}

fn element(node: &Node, parent: ObjectNumber, nodes: &[ObjectNumber], pages: &[ObjectNumber]) -> DictItem {
    let kids = node.kids.iter().map(|kid| match kid {
        Kid::Node(number) => reference(nodes[*number]),
        Kid::Content { page, mcid } => {
            dict([("Type", name("MCR")), ("Pg", reference(pages[*page])), ("MCID", DictItem::Int(*mcid as i64))])
        }
    });
    let mut entries = vec![
        ("Type", name("StructElem")),
        ("S", name(node.tag)),
        ("P", reference(parent)),
        ("K", DictItem::Array(kids.collect())),
    ];
    if node.tag == "TH" {
        entries.push(("A", dict([("O", name("Table")), ("Scope", name("Column"))])));
    }
    if let Some(alt) = &node.alt {
        entries.push(("Alt", text(alt)));
    }
    dict(entries)
}

/// The root, with the way back from each piece of a page to its element.
fn tree(pieces: &[Vec<usize>], nodes: &[ObjectNumber]) -> DictItem {
    let parents = pieces.iter().enumerate().flat_map(|(page, pieces)| {
        let elements = pieces.iter().map(|node| reference(nodes[*node])).collect();
        [DictItem::Int(page as i64), DictItem::Array(elements)]
    });
    dict([
        ("Type", name("StructTreeRoot")),
        ("K", DictItem::Array(vec![reference(nodes[0])])),
        ("ParentTree", dict([("Nums", DictItem::Array(parents.collect()))])),
        ("ParentTreeNextKey", DictItem::Int(pieces.len() as i64)),
    ])
}

fn dict<'a>(entries: impl IntoIterator<Item = (&'a str, DictItem)>) -> DictItem {
    let map: BTreeMap<String, DictItem> = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    DictItem::Dict { map }
}

fn name(name: &str) -> DictItem {
    DictItem::Name(name.as_bytes().to_vec())
}

fn reference((obj, r#gen): ObjectNumber) -> DictItem {
    DictItem::Ref { obj, r#gen }
}

/// A text string: UTF-16 with a byte order mark.
fn text(text: &str) -> DictItem {
    let mut data = vec![0xFE, 0xFF];
    data.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
    DictItem::String { data, literal: false }
}
