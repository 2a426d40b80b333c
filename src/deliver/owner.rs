//! Who is told about a resource.
//!
//! Pure; called while findings are reconciled. A tag's value is believed only if it is one plain address of an allowed
//! domain, so that nobody who can write a tag can have mail sent to a stranger. With neither tag nor default owner
//! there is no notice, and so no act.

use super::address;
use crate::domain::resource::Tags;

/// Whom to believe.
#[derive(Clone, Copy, Debug)]
pub struct OwnerRules<'a> {
    /// Tag keys that may hold an owner's address, first match wins.
    pub tags: &'a [String],
    /// Domains whose addresses are believed; a subdomain is another domain.
    pub allowed_domains: &'a [String],
    /// Who is told when no tag names anyone.
    pub default_owner: Option<&'a str>,
}

/// The owner's address, its domain in lower case; `None` when nobody can be told.
pub fn owner_of(tags: &Tags, rules: &OwnerRules<'_>) -> Option<String> {
    let from_tags = rules.tags.iter().filter_map(|key| tags.get(key)).find_map(|value| believed(value, rules));
    from_tags.or_else(|| rules.default_owner.and_then(normal))
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

    fn owner(pairs: &[(&str, &str)]) -> Option<String> {
        let tags = ["owner".to_owned(), "Owner".to_owned()];
        let domains = ["example.com".to_owned(), "sub.example.com".to_owned()];
        let rules = OwnerRules { tags: &tags, allowed_domains: &domains, default_owner: Some("finops@example.com") };
        owner_of(&Tags::of(pairs), &rules)
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
    fn h38_a_foreign_or_hostile_value_falls_back_to_the_default_owner() {
        for value in [
            "eve@example.org",
            "eve@example.com.example.org",
            "eve@notexample.com",
            "eve@deep.sub.example.com",
            "eve@example.com\r\nBcc: all@example.com",
            "eve@example.com,all@example.com",
            "Ann <ann@example.com>",
            "ann@example.com\u{202E}",
        ] {
            assert_eq!(owner(&[("owner", value)]).unwrap(), "finops@example.com", "{value:?}");
        }
    }

    #[test]
    fn h09_with_neither_tag_nor_default_there_is_nobody_to_tell() {
        let tags = ["owner".to_owned()];
        let rules = OwnerRules { tags: &tags, allowed_domains: &[], default_owner: None };
        assert_eq!(owner_of(&Tags::of(&[("owner", "ann@example.com")]), &rules), None);
        let broken = OwnerRules { default_owner: Some("not an address"), ..rules };
        assert_eq!(owner_of(&Tags::default(), &broken), None);
    }
}
