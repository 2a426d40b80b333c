//! The beginning: a draft with version 0.1.0 and an id of our own making (L2).

use super::{Audience, By, Content, Moved};
use crate::domain::Instant;
use crate::domain::lifecycle::{ChangeType, PolicyRecord, PolicyVersion, SemVer, Stage};

/// Longest slug in an id.
const SLUG: usize = 60;

/// A new draft. `taken` tells whether an id is used already.
pub fn create(content: &Content, by: By<'_>, taken: impl Fn(&str) -> bool) -> Moved {
    let id = id_for(&content.name, by.at, taken);
    let version = PolicyVersion {
        policy: id.clone(),
        seq: 1,
        version: SemVer::FIRST,
        hash: content.hash.clone(),
        change: ChangeType::Major,
        summary: "Initial draft".to_owned(),
        by: by.who.to_owned(),
        at: by.at,
        format: content.format.clone(),
        text: content.text.clone(),
        json: content.json.clone(),
    };
    let mut moved = Moved::new(PolicyRecord {
        id,
        name: content.name.clone(),
        stage: Stage::Draft,
        created_by: by.who.to_owned(),
        created_at: by.at,
        updated_at: by.at,
        seq: 1,
        version: SemVer::FIRST,
        hash: content.hash.clone(),
        authors: vec![by.who.to_owned()],
        reviewers: Vec::new(),
        review: None,
        approved_at: None,
        current: None,
        next: None,
        brake: None,
        deprecation: None,
        revision: 0,
    });
    moved.event(by, "created", "Initial draft");
    moved.tell(Audience::People(vec![by.who.to_owned()]), "created", "It is a draft: submit it to reviewers next.");
    moved.version = Some(version);
    moved
}

/// `policy-<slug>-<YYYYMMDD>`, with `-2`, `-3` … where that is taken.
pub fn id_for(name: &str, at: Instant, taken: impl Fn(&str) -> bool) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let slug: String = name.trim().to_lowercase().chars().map(plain).take(SLUG).collect();
    let base = format!("policy-{slug}-{}", at.format("%Y%m%d"));
    let mut id = base.clone();
    let mut suffix = 2_u32;
    while taken(&id) {
        id = format!("{base}-{suffix}");
        suffix += 1;
    }
    id
}
