//! The periodic review of policies as PDF: one table, the policies that need somebody first.

use anyhow::Result;

use super::document::{self, About};
use super::flow::{COLUMN, Flow, MARGIN, wrap};
use super::font::Faces;
use super::sheet::{Sheet, Style, WIDTH};
use super::style::{BLUE, BODY, BRAND, GREEN, HEADLINE, MUTED, ORANGE, TITLE};
use super::table::{Cell, Table, column, figures};
use crate::domain::money::grouped;
use crate::domain::policy_review::{PolicyReview, ReviewedPolicy};
use crate::domain::text::clean;
use crate::report::review::{amount, headline, last_review, title};

/// The finished file.
///
/// # Errors
/// As [`super::render`].
pub fn render(review: &PolicyReview) -> Result<Vec<u8>> {
    let mut flow = Flow::new(Sheet::new(Faces::load()?));
    draw(&mut flow, review);
    flow.footers(&format!("costwarden  ·  {}", title(review)));
    document::save(flow.sheet, &About { title: title(review), subject: headline(review), at: review.at })
}

/// The file's name: `costwarden-policy-review-2026-11-22.pdf`.
pub fn file_name(review: &PolicyReview) -> String {
    format!("costwarden-policy-review-{}.pdf", review.at.format("%Y-%m-%d"))
}

fn draw(flow: &mut Flow, review: &PolicyReview) {
    flow.sheet.fill(0.0, 0.0, WIDTH, 6.0, BLUE);
    let open = flow.sheet.aside();
    flow.sheet.text(MARGIN, 42.0, BRAND, "costwarden");
    flow.sheet.back(open);
    flow.sheet.begin("H1", None);
    flow.sheet.text(MARGIN, 69.0, TITLE, "Quarterly policy review");
    flow.sheet.end();
    flow.sheet.begin("P", None);
    let line = format!("{}  ·  times in UTC", review.period());
    flow.sheet.text(MARGIN, 85.0, Style { colour: MUTED, ..BODY }, &line);
    flow.sheet.end();
    flow.y = 97.0;
    flow.rule();
    flow.y += 10.0;
    flow.sheet.begin("P", None);
    for line in wrap(&flow.sheet, HEADLINE, &headline(review), COLUMN, 3) {
        flow.sheet.text(MARGIN, flow.y + HEADLINE.size, HEADLINE, &line);
        flow.y += HEADLINE.leading;
    }
    flow.sheet.end();
    flow.heading("Policies, those that need somebody first", 60.0);
    flow.table(&Table {
        title: "Policies",
        columns: vec![
            column("Policy", 185.28),
            figures("Age, days", 46.0),
            figures("Last review", 62.0),
            figures("Found", 40.0),
            figures("Open", 38.0),
            figures("Excepted", 48.0),
            figures("Open, a month", 88.0),
        ],
        rows: review.policies.iter().map(row).collect(),
    });
    flow.heading("How to read it", 40.0);
    for words in [
        "Found counts findings that a policy raised in the period; open and excepted are as of today. A resource \
         that two policies see is in both of their rows, and once in the sum above.",
        "Last review is the day on which all reviewers last approved a version, or somebody last confirmed the policy \
         in such a review. A policy that comes from a file has neither age nor review here: its repository does.",
        "A policy is stale when nobody reviewed it for 90 days, when it only monitored or found nothing for as long, \
         when a draft or a review stands still for 30 days, and when its last day has passed.",
    ] {
        flow.paragraph(words, BODY);
        flow.gap(4.0);
    }
}

fn row(policy: &ReviewedPolicy) -> Vec<Cell> {
    let version = policy.version.as_ref().map_or_else(String::new, |version| format!("{version}, "));
    let mut notes = vec![format!("{version}{}", policy.standing)];
    notes.extend(policy.stale.iter().cloned());
    if policy.saved.count > 0 {
        notes.push(format!("acts save {}", amount(&policy.saved)));
    }
    let open = if policy.open.unpriced > 0 {
        Cell::new(policy.open.monthly.to_string()).note(format!("{} without a price", policy.open.unpriced), 1)
    } else {
        Cell::new(policy.open.monthly.to_string())
    };
    let notes: Vec<String> = notes.iter().map(|note| clean(note)).collect();
    vec![
        Cell::strong(clean(&policy.name))
            .lines(2)
            .mark(if policy.stale.is_empty() { GREEN } else { ORANGE })
            .note(notes.join("\n"), 5),
        Cell::new(policy.age_days.map_or_else(|| "unknown".to_owned(), |days| days.to_string())),
        Cell::new(last_review(policy)),
        Cell::new(grouped(policy.hits)),
        Cell::new(grouped(policy.open.count)),
        Cell::new(grouped(policy.exceptions)),
        open,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::review::sample;

    #[test]
    fn t7_the_same_review_gives_the_same_bytes_and_long_ones_go_on_over_pages() {
        let one = render(&sample()).unwrap();
        assert!(one.starts_with(b"%PDF-1.7") && one == render(&sample()).unwrap());
        if let Some(folder) = std::env::var_os("COSTWARDEN_WRITE_SAMPLES_IN") {
            std::fs::write(std::path::Path::new(&folder).join("policy-review.pdf"), &one).unwrap();
        }
        let mut long = sample();
        long.policies = (0..120).flat_map(|_| sample().policies).collect();
        let mut flow = Flow::new(Sheet::new(Faces::load().unwrap()));
        draw(&mut flow, &long);
        assert!(flow.sheet.pages() > 10);
        assert_eq!(file_name(&sample()), "costwarden-policy-review-2026-11-22.pdf");
    }
}
