//! Who is told about a resource.
//!
//! Pure; called while findings are reconciled. Four steps: owner tags, creator tags, the account's contact, the default
//! owner. A tag's value is believed only if it is one plain address of an allowed domain, so that nobody who can write a
//! tag can have mail sent to a stranger; what is not believed leaves the word to the next step. With none of the four
//! there is no notice, and so no act. No address is ever put together from parts.

use super::address;
use crate::domain::resource::Tags;

/// Whom to believe.
#[derive(Clone, Copy, Debug)]
pub struct OwnerRules<'a> {
    /// Tag keys that may hold an owner's address, first match wins.
    pub tags: &'a [String],
    /// Tag keys that may say who made the resource, asked when no owner tag is believed; first match wins.
    pub creator_tags: &'a [String],
    /// The contact of the resource's account, asked next.
    pub contact: Option<&'a str>,
    /// Domains whose addresses are believed; a subdomain is another domain.
    pub allowed_domains: &'a [String],
    /// Who is told when nothing before names anyone.
    pub default_owner: Option<&'a str>,
}

/// The owner's address, its domain in lower case; `None` when nobody can be told.
pub fn owner_of(tags: &Tags, rules: &OwnerRules<'_>) -> Option<String> {
    let owners = || rules.tags.iter().filter_map(|key| tags.get(key)).find_map(|value| believed(value, rules));
    let creators = || {
        let values = rules.creator_tags.iter().filter_map(|key| tags.get(key));
        values.filter_map(creator).find_map(|value| believed(value, rules))
    };
    owners()
        .or_else(creators)
        .or_else(|| rules.contact.and_then(|contact| believed(contact, rules)))
        .or_else(|| rules.default_owner.and_then(normal))
}

/// What may be an address in a creator tag: its whole value, or the name at the end of what AWS itself writes,
/// `IAMUser:ID:NAME`, `AssumedRole:ID:SESSION` or `FederatedUser:ID:NAME`. A name there is an address only if it is one
/// by itself; an account's root user and a service have none.
fn creator(value: &str) -> Option<&str> {
    let parts: Vec<&str> = value.split(':').collect();
    match parts.as_slice() {
        [whole] => Some(whole),
        ["IAMUser" | "AssumedRole" | "FederatedUser", id, name]
            if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            Some(name)
        }
        _ => None,
    }
}

fn believed(value: &str, rules: &OwnerRules<'_>) -> Option<String> {
    let (_, domain) = address::parse(value).ok()?;
    let allowed = rules.allowed_domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain));
    if allowed { normal(value) } else { None }
}

fn normal(address: &str) -> Option<String> {
    let (user, domain) = address::parse(address).ok()?;
    Some(format!("{user}@{}", domain.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: [&str; 11] = [
        "",
        "eve@example.org",
        "eve@example.com.example.org",
        "eve@notexample.com",
        "eve@deep.sub.example.com",
        "eve@example.com\r\nBcc: all@example.com",
        "eve@example.com,all@example.com",
        "eve@example.com all@example.com",
        "Ann <ann@example.com>",
        "ann@example.com\u{202E}",
        "ann",
    ];

    /// The owner by the settings of an account with a contact, as `change` makes them.
    fn owner_with(pairs: &[(&str, &str)], contact: Option<&str>, default_owner: Option<&str>) -> Option<String> {
        let (tags, creator_tags) = (["owner".into(), "Owner".into()], ["aws:createdBy".into(), "creator".into()]);
        let allowed_domains = ["example.com".to_owned(), "sub.example.com".to_owned()];
        let rules = OwnerRules {
            tags: &tags,
            creator_tags: &creator_tags,
            contact,
            allowed_domains: &allowed_domains,
            default_owner,
        };
        owner_of(&Tags::of(pairs), &rules)
    }

    fn owner(pairs: &[(&str, &str)]) -> Option<String> {
        owner_with(pairs, None, Some("finops@example.com"))
    }

    #[test]
    fn the_first_tag_with_a_believed_address_names_the_owner() {
        assert_eq!(owner(&[("owner", "ann@example.com")]).unwrap(), "ann@example.com");
        assert_eq!(
            owner(&[("owner", "platform team"), ("Owner", "bob@Sub.Example.COM")]).unwrap(),
            "bob@sub.example.com"
        );
        assert_eq!(owner(&[("contact", "ann@example.com")]).unwrap(), "finops@example.com");
    }

    #[test]
    fn owners_are_asked_for_by_tag_then_creator_tag_then_account_contact_then_default() {
        let (own, made) = (Some("ann@example.com"), Some("bob@example.com"));
        let (contact, default) = (Some("team@example.com"), Some("finops@example.com"));
        // Every presence of the four, and who is told then.
        for present in 0..16 {
            let given = |bit: u8, value: Option<&'static str>| value.filter(|_| present & (1 << bit) != 0);
            let steps = [given(0, own), given(1, made), given(2, contact), given(3, default)];
            let tags: Vec<(&str, &str)> = [("Owner", steps[0]), ("creator", steps[1])]
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)))
                .collect();
            let told = owner_with(&tags, steps[2], steps[3]);
            assert_eq!(told.as_deref(), steps.into_iter().flatten().next(), "{steps:?}");
        }
    }

    #[test]
    fn h38_a_foreign_or_hostile_value_falls_back_to_the_default_owner() {
        for value in HOSTILE {
            assert_eq!(owner(&[("owner", value)]).unwrap(), "finops@example.com", "{value:?}");
        }
    }

    #[test]
    fn h38_at_each_step_a_value_that_is_not_believed_leaves_the_word_to_the_next() {
        let default = Some("finops@example.com");
        for bad in HOSTILE {
            let tags = [("owner", bad), ("creator", "bob@example.com")];
            assert_eq!(owner_with(&tags, None, default).unwrap(), "bob@example.com", "{bad:?}");
            let tags = [("owner", bad), ("aws:createdBy", bad), ("creator", "bob@example.com")];
            assert_eq!(owner_with(&tags, None, default).unwrap(), "bob@example.com", "{bad:?}");
            let tags = [("owner", bad), ("aws:createdBy", bad), ("creator", bad)];
            assert_eq!(owner_with(&tags, Some("team@Example.com"), default).unwrap(), "team@example.com", "{bad:?}");
            assert_eq!(owner_with(&tags, Some(bad), default).unwrap(), "finops@example.com", "{bad:?}");
            assert_eq!(owner_with(&tags, Some(bad), None), None, "{bad:?}");
        }
    }

    #[test]
    fn h38_a_creators_address_is_taken_only_where_one_stands_whole() {
        let told = |value: &str| owner(&[("aws:createdBy", value)]).unwrap();
        for value in [
            "alice@example.com",
            "IAMUser:AIDAEXAMPLE:alice@example.com",
            "AssumedRole:AROAEXAMPLE:alice@example.com",
            "FederatedUser:123456789012:alice@Example.com",
        ] {
            assert_eq!(told(value), "alice@example.com", "{value}");
        }
        for value in [
            "IAMUser:AIDAEXAMPLE:alice",
            "Root:123456789012",
            "Root:123456789012:alice@example.com",
            "AssumedRole:AROAEXAMPLE:botocore-session-1700000000",
            "AssumedRole:AROAEXAMPLE:alice@example.org",
            "AssumedRole:AROAEXAMPLE:alice@example.com:bob@example.com",
            "AssumedRole:AROA@EXAMPLE:alice@example.com",
            "AssumedRole::alice@example.com",
            "AssumedRole:AROAEXAMPLE:",
            "AssumedRole:AROAEXAMPLE:Alice <alice@example.com>",
            "AssumedRole:AROAEXAMPLE:alice@example.com\r\nBcc: all@example.com",
            "mailto:alice@example.com",
            "arn:aws:sts::123456789012:assumed-role/Admin/alice@example.com",
        ] {
            assert_eq!(told(value), "finops@example.com", "{value:?}");
        }
    }

    #[test]
    fn h09_with_none_of_the_four_there_is_nobody_to_tell() {
        let tags = ["owner".to_owned()];
        let rules =
            OwnerRules { tags: &tags, creator_tags: &tags, contact: None, allowed_domains: &[], default_owner: None };
        assert_eq!(owner_of(&Tags::of(&[("owner", "ann@example.com")]), &rules), None);
        let broken = OwnerRules { contact: Some("ann@example.com"), default_owner: Some("not an address"), ..rules };
        assert_eq!(owner_of(&Tags::default(), &broken), None);
    }
}
