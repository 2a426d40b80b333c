//! The PDF in the eyes of two other readers: text, structure, fonts, nothing active.

use std::process::Command;

use costwarden::report;
use costwarden::report::sample::HOSTILE_NAMES;
use serde_json::{Value, json};

use crate::support::python::{python, support_file};

fn read(pdf: &[u8]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.pdf");
    std::fs::write(&path, pdf).expect("written");
    let output = Command::new(python()).arg(support_file("read_pdf.py")).arg(&path).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn g6_the_weekly_pdf_opens_in_two_readers_and_its_figures_can_be_read() {
    let report = report::sample();
    let read = read(&report::pdf::render(&report).expect("a PDF"));
    assert_eq!(read["problems"], json!([]));
    assert_eq!(read["title"], "Weekly compliance report 2026-W47");
    let pages: Vec<&str> =
        read["pages"].as_array().expect("pages").iter().map(|page| page.as_str().expect("text")).collect();
    let (first, all) = (pages[0], pages.concat());
    assert!((2..=6).contains(&pages.len()), "{} pages", pages.len());
    for figure in
        ["87.7%", "$5,214", "$3,118", "$8,941", "187", "$248.20", "Tue 24 Nov", "10:00 CET", "i-0b7e41c09d5f2a813"]
    {
        assert!(first.contains(figure), "{figure} cannot be read on page one:\n{first}");
    }
    for row in &report.due {
        assert!(all.contains(&row.resource), "{}", row.resource);
    }
    for act in &report.acts {
        assert!(all.contains(&act.resource) && all.contains(&act.id), "{}", act.id);
        assert!(act.backups.iter().all(|backup| all.contains(backup.as_str())), "{:?}", act.backups);
    }
    for page in read["sizes"].as_array().expect("sizes") {
        let side = |number: usize| page[number].as_f64().expect("a number").round();
        assert_eq!((side(0), side(1)), (595.0, 842.0), "A4");
    }
}

#[test]
fn the_pdf_is_tagged_has_a_language_and_embeds_two_subset_faces() {
    let report = report::sample();
    let read = read(&report::pdf::render(&report).expect("a PDF"));
    assert_eq!((&read["language"], &read["marked"]), (&json!("en"), &json!(true)));
    let tags = read["tags"].as_object().expect("tags");
    assert_eq!((&tags["Document"], &tags["H1"], &tags["Figure"]), (&json!(1), &json!(1), &json!(1)));
    let tables = tags["Table"].as_u64().expect("a number");
    assert!(tables >= 10 && tags["H2"].as_u64().expect("a number") >= tables, "{tags:?}");
    assert!(tags["TH"].as_u64().expect("a number") >= 3 * tables && tags.contains_key("TD"));
    let fonts: Vec<&str> =
        read["fonts"].as_array().expect("fonts").iter().map(|font| font.as_str().expect("a name")).collect();
    assert_eq!(fonts.len(), 2, "{fonts:?}");
    assert!(fonts.iter().all(|font| font.contains("+Inter-")), "{fonts:?}");
}

#[test]
fn h38_no_name_does_anything_in_a_pdf() {
    for name in HOSTILE_NAMES {
        let mut report = report::sample();
        report.headline = format!("{name} \u{e071} (\\) >> endobj");
        for row in &mut report.due {
            row.name = name.to_owned();
            row.owner = Some(name.to_owned());
        }
        let read = read(&report::pdf::render(&report).expect("a PDF"));
        assert_eq!((&read["problems"], &read["active"]), (&json!([]), &json!([])), "{name}");
    }
}
