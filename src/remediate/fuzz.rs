//! What fuzzing runs on the tags of a resource: strangers write them, and some of them say that nothing may be done.
//!
//! `fuzz/fuzz_targets/tags.rs` calls [`tags`], and so do the tests below. Held: tags that were not read refuse every act;
//! one tag more never makes an act possible, neither to the guards nor to the gate; a keep-until tag that is no date in
//! the past holds, under either prefix; and what protects by our own tags is seen by both, who share no code (safety.md,
//! H10, H18, H22).

use std::sync::LazyLock;

use chrono::NaiveDate;

use super::gate::managers::manager;
use super::gate::resource::marked;
use crate::cloud::prices;
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::finding::Act;
use crate::domain::fuzz::Feed;
use crate::domain::guard::{GuardRules, Reading, keep_tag, refusal};
use crate::domain::place::{AccountId, Kind, Place, Region};
use crate::domain::plan::HoldCode;
use crate::domain::price::PriceBook;
use crate::domain::resource::{Detail, NOT_ASKED, Resource, Tags, Volume};

/// Pieces of keys.
const KEYS: &[&str] = &[
    "costwarden:protect",
    "costwarden:keep-until",
    "costwarden:safety-snapshot",
    "costwarden:remediation",
    "acme:protect",
    "acme:keep-until",
    "Costwarden:Protect",
    "COSTWARDEN:KEEP-UNTIL",
    "Name",
    "owner",
    "keep",
    "aws:autoscaling:groupName",
    "aws:cloudformation:stack-name",
    "kubernetes.io/cluster/x",
    "managed-by",
    "Managed_By",
    "aws:backup:source-resource",
    "dlm:managed",
    "eks:cluster-name",
    "CSIVolumeName",
    "ebs.csi.aws.com/cluster",
    "aws:createdBy",
    "provisioner",
    "terraform",
    "costwarden:",
    "acme:",
    "protect",
    ":",
    "\u{200b}",
    " ",
    "é",
    "K",
];

/// Pieces of values.
const VALUES: &[&str] = &[
    "",
    "true",
    "false",
    "FALSE",
    " false ",
    "no",
    "2026-11-22",
    "2026-11-23",
    "2026-11-24",
    "2027-01-01",
    "2020-01-01",
    "never",
    " 2030-01-01",
    "2030-1-1",
    "30-01-2030",
    "2026-02-30",
    "+262142-12-31",
    "forever",
    "terraform",
    "manual",
    "none",
    "costwarden",
    "\u{202e}",
    "\n",
    "0",
    "é",
    "!",
    "prod",
    "-",
    "2026-11-23T00:00:00Z",
];

static PRICES: LazyLock<PriceBook> = LazyLock::new(|| prices::embedded().expect("a test reads the embedded prices"));

/// Tags of any sort on a volume that lies idle. Whether the guards let it be deleted.
pub fn tags(bytes: &[u8]) -> bool {
    let mut feed = Feed::new(bytes);
    let now: Instant = Instant::from_timestamp(1_795_428_000, 0).unwrap_or_default();
    let prefix = feed.pick(&["costwarden:", "", "acme:"]);
    let protect = [None, Some("tag:keep"), Some("tag:env=prod"), Some("vol-0other")][feed.below(4)];
    let rules = GuardRules {
        protect: protect.map(str::to_owned).into_iter().collect(),
        allow_public_ip_loss: false,
        tag_prefix: prefix.to_owned(),
    };
    let pairs: Vec<(String, String)> = (0..feed.below(5)).map(|_| pair(&mut feed)).collect();
    let (key, value) = pair(&mut feed);
    let few = Tags::of(&pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>());
    let more = match few.get(&key) {
        Some(_) => few.clone(),
        None => {
            Tags::new(few.iter().chain([(key.as_str(), value.as_str())]).map(|(key, value)| (key.into(), value.into())))
        }
    };

    for reading in [Reading::Listing, Reading::Fresh] {
        for act in [Act::DeleteVolume, Act::AddTags, Act::ModifyVolume] {
            let refused = |tags: Fact<Tags>| refusal(act, &volume(act, tags), &rules, &PRICES, reading);
            let unread = refused(Fact::unknown("throttled"));
            assert!(matches!(unread, Some((HoldCode::Incomplete, _))), "{act:?} on unread tags: {unread:?}");
            assert_eq!(refused(Fact::Absent), None, "{act:?} is possible without tags");
            let (before, after) = (refused(Fact::Known(few.clone())), refused(Fact::Known(more.clone())));
            assert!(before.is_none() || after.is_some(), "{key:?}={value:?} allows {act:?}, which {before:?} forbade");
            if protecting(&more, prefix) {
                assert!(matches!(after, Some((HoldCode::Protected, _))), "{more:?} does not protect from {act:?}");
            }
        }
    }
    let gate = |tags: &Tags| {
        let managed = || manager(&volume(Act::DeleteVolume, Fact::Known(tags.clone()))).map(|_| HoldCode::Managed);
        marked(tags, prefix, None, now).map(|(code, _)| code).or_else(managed)
    };
    assert!(gate(&few).is_none() || gate(&more).is_some(), "{key:?}={value:?} opens the gate");
    if protecting(&more, prefix) {
        assert!(gate(&more).is_some(), "{more:?} protect, and the gate does not see it");
    }
    kept(&more, prefix, now);
    refusal(Act::DeleteVolume, &volume(Act::DeleteVolume, Fact::Known(more)), &rules, &PRICES, Reading::Fresh).is_none()
}

/// What a keep-until tag means to the guards and to the gate, said a second time.
fn kept(tags: &Tags, prefix: &str, now: Instant) {
    let past = |text: &str| text.trim().parse::<NaiveDate>().is_ok_and(|day| day < now.date_naive());
    let own = tags.get("costwarden:keep-until");
    let other = if prefix.is_empty() { None } else { tags.get(&format!("{prefix}keep-until")) };
    let read = keep_tag(tags, prefix);
    assert_eq!(read.is_some(), own.or(other).is_some());
    let holds = [own, other].into_iter().flatten().any(|text| !past(text));
    assert_eq!(read.is_some_and(|text| !past(text)), holds, "{own:?} and {other:?} are read as {read:?}");
    if holds {
        assert!(marked(tags, prefix, None, now).is_some(), "{own:?} or {other:?} holds, and the gate does not see it");
        let unreadable = [own, other].into_iter().flatten().find(|text| text.trim().parse::<NaiveDate>().is_err());
        if let Some(text) = unreadable {
            assert!(marked(tags, prefix, Some(text), now).is_some(), "{text:?} was seen, and is no date all the same");
        }
    }
}

/// Whether our own tags forbid every act.
fn protecting(tags: &Tags, prefix: &str) -> bool {
    let said = |key: String| tags.get(&key).is_some_and(|value| !value.trim().eq_ignore_ascii_case("false"));
    said("costwarden:protect".into())
        || tags.get("costwarden:safety-snapshot").is_some()
        || !prefix.is_empty() && said(format!("{prefix}protect"))
}

fn pair(feed: &mut Feed<'_>) -> (String, String) {
    let text = |feed: &mut Feed<'_>, list: &[&str]| match feed.byte() % 4 {
        0 => feed.woven(list),
        _ => feed.pick(list).to_owned(),
    };
    (text(feed, KEYS), text(feed, VALUES))
}

/// A volume that lies idle, of the type that the act is for.
fn volume(act: Act, tags: Fact<Tags>) -> Resource {
    let account = AccountId::new("123456789012").expect("twelve digits");
    let region = Region::new("eu-central-1").expect("a Region");
    let detail = Volume {
        state: "available".into(),
        size_gib: 8,
        volume_type: if act == Act::ModifyVolume { "gp2" } else { "gp3" }.into(),
        iops: None,
        throughput: None,
        zone: "eu-central-1a".into(),
        kms_key: None,
        encrypted: false,
        attachments: Box::default(),
        operator: None,
        modification: Fact::Absent,
    };
    Resource {
        key: Place { account, region }.partition(Kind::Volume).key("vol-0orphan"),
        tags,
        created_at: Fact::unknown(NOT_ASKED),
        detail: Detail::Volume(Box::new(detail)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn h10_every_pair_of_nasty_tags_keeps_what_one_of_them_keeps() {
        let (mut possible, mut asked) = (0, 0);
        for prefix in 0..3 {
            for (key, _) in KEYS.iter().enumerate() {
                for (value, _) in VALUES.iter().enumerate() {
                    for (other, later) in [(0, 2), (1, 10), (4, 0), (5, 9), (8, 0)] {
                        let pairs = [1, key as u8, 1, value as u8, 1, other, 1, later];
                        possible += usize::from(tags(&[&[prefix, 0, 1][..], &pairs].concat()));
                        asked += 1;
                    }
                }
            }
        }
        assert!(possible > asked / 20 && possible < asked * 2 / 3, "{possible} of {asked} were possible");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        #[test]
        fn h10_no_tag_makes_an_act_possible_that_fewer_tags_forbid(bytes in vec(any::<u8>(), 0..60)) {
            tags(&bytes);
        }
    }
}
