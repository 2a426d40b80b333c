//! `[[accounts]]`: the list outside of which nothing is touched.

use super::AccountSettings;
use super::check::check_address;
use super::raw::RawAccount;
use crate::domain::place::{AccountId, Region};
use crate::domain::text::clean;
use crate::policy::document::{At, Checker};

/// The account list: each account once, each with roles of its own.
pub(super) fn accounts(
    checker: &mut Checker<'_>,
    at: &At<'_>,
    raw: &[RawAccount],
    domains: &[String],
) -> Vec<AccountSettings> {
    let mut list: Vec<AccountSettings> = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let at = at.item(index);
        let id = account_id(checker, &at.key("id"), &raw.id);
        for (key, arn) in [("role_arn", &raw.role_arn), ("actor_role_arn", &raw.actor_role_arn)] {
            if let (Some(arn), Some(id)) = (arn, &id) {
                check_role(checker, &at.key(key), arn, id.as_str());
            }
        }
        let mut regions = Vec::new();
        for (index, text) in raw.regions.iter().enumerate() {
            let at = at.key("regions").item(index);
            match Region::new(text) {
                Ok(region) if regions.contains(&region) => {
                    checker.fail(&at, format!("the Region {region} stands twice"), "each Region once");
                }
                Ok(region) => regions.push(region),
                Err(_) => {
                    checker.fail(&at, format!("{:?} is not a Region", clean(text)), "a name such as eu-central-1");
                }
            }
        }
        if let Some(contact) = &raw.contact {
            check_contact(checker, &at.key("contact"), contact, domains);
        }
        let Some(id) = id else { continue };
        if list.iter().any(|known| known.id == id) {
            checker.fail(
                &at.key("id"),
                format!("the account {id} stands twice"),
                "each account once, with all its Regions",
            );
        }
        list.push(AccountSettings {
            id,
            name: raw.name.clone(),
            role_arn: raw.role_arn.clone(),
            external_id: raw.external_id.clone(),
            actor_role_arn: raw.actor_role_arn.clone(),
            regions,
            contact: raw.contact.clone(),
        });
    }
    list
}

/// Twelve digits, or nothing after noting the mistake.
pub(super) fn account_id(checker: &mut Checker<'_>, at: &At<'_>, text: &str) -> Option<AccountId> {
    let id = AccountId::new(text).ok();
    if id.is_none() {
        checker.fail(at, format!("{:?} is not an AWS account id", clean(text)), "twelve digits, quoted");
    }
    id
}

/// A contact that nobody would write to is a mistake that a person should hear of before a finding depends on it.
fn check_contact(checker: &mut Checker<'_>, at: &At<'_>, contact: &str, domains: &[String]) {
    check_address(checker, at, contact);
    let Some((_, domain)) = contact.split_once('@') else { return };
    if !domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain)) {
        let problem = format!("{:?} is no address of owners.allowed_domains", clean(contact));
        checker.fail(at, problem, "an address of a domain that stands there, or that domain in owners.allowed_domains");
    }
}

/// A role of another account would let a mistyped id act elsewhere.
fn check_role(checker: &mut Checker<'_>, at: &At<'_>, arn: &str, account: &str) {
    let parts: Vec<&str> = arn.split(':').collect();
    let role = match parts.as_slice() {
        ["arn", partition, "iam", "", owner, role] if partition.starts_with("aws") => Some((*owner, *role)),
        _ => None,
    };
    match role {
        Some((owner, role)) if owner == account && role.strip_prefix("role/").is_some_and(|name| !name.is_empty()) => {}
        Some((owner, _)) if owner != account => {
            let problem =
                format!("the role belongs to account {:?}, the entry is account {:?}", clean(owner), clean(account));
            checker.fail(at, problem, "a role of the same account");
        }
        _ => checker.fail(at, format!("{:?} is not a role's ARN", clean(arn)), "arn:aws:iam::123456789012:role/NAME"),
    }
}
