//! Whether two names mean one person. Names are foreign text: people type them, and mail programs dress them up.
//!
//! There are two questions and no third. [`same_person`] is loose and asked where a yes **refuses**: approving one's
//! own work, counting how many people agreed, asking nobody twice. [`same_name`] is strict and asked where a yes
//! **grants**: standing in a list of approvers or reviewers, being somebody's manager, answering what one was asked.
//! So a doubt costs a signature and never gives one. What it leaves out: whether the name is the caller's own.

/// Whether two names may well be one person's. A bare name is the same person as an address that begins with it, so
/// that nobody approves their own work by leaving the domain out, and neither by a `+word` behind the name, by a shown
/// name (`Ann <ann@example.com>`) or by a dot behind the domain. It refuses; it never grants.
pub fn same_person(left: &str, right: &str) -> bool {
    let (left, right) = (mailbox(left), mailbox(right));
    let local = |name: &str| name.split('@').next().unwrap_or("").to_owned();
    left == right || (!(left.contains('@') && right.contains('@')) && local(&left) == local(&right))
}

/// Whether two names are written alike but for their case and the spaces around them. An empty name is nobody's.
pub fn same_name(left: &str, right: &str) -> bool {
    let (left, right) = (left.trim().to_lowercase(), right.trim().to_lowercase());
    !left.is_empty() && left == right
}

/// How many different people stand behind names, at least: whoever may be one person counts once, also over a third
/// name that both of them go by.
pub fn count<'a>(names: impl IntoIterator<Item = &'a str>) -> usize {
    let mut people: Vec<Vec<&str>> = Vec::new();
    for name in names {
        let (same, others): (Vec<_>, Vec<_>) =
            people.into_iter().partition(|known| known.iter().any(|own| same_person(own, name)));
        people = others;
        people.push(same.into_iter().flatten().chain([name]).collect());
    }
    people.len()
}

/// The mailbox that a name stands for, in lower case.
fn mailbox(name: &str) -> String {
    let name = name.trim().to_lowercase();
    let inner = name.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')).map_or(name.as_str(), |(_, inner)| inner);
    let inner = inner.trim().trim_end_matches('.');
    let (local, domain) = inner.split_once('@').map_or((inner, None), |(local, domain)| (local, Some(domain)));
    // A plus that begins the name separates nothing.
    let local = local.find('+').filter(|at| *at > 0).map_or(local, |at| &local[..at]);
    domain.map_or_else(|| local.to_owned(), |domain| format!("{local}@{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_the_person_whose_address_begins_with_it() {
        for (left, right, same) in [
            ("ann", "Ann@example.com", true),
            ("ann@example.com", "ANN@EXAMPLE.COM ", true),
            ("ann@example.com", "ann@example.org", false),
            ("ann", "anna@example.com", false),
            ("ann+work@example.com", "ann@example.com", true),
            ("Ann Lee <Ann@example.com>", "ann@example.com", true),
            ("ann@example.com.", "ann@example.com", true),
            ("+ann@example.com", "ann@example.com", false),
            ("ann+work@example.com", "bob+work@example.com", false),
        ] {
            assert_eq!((same_person(left, right), same_person(right, left)), (same, same), "{left} {right}");
        }
    }

    #[test]
    fn what_grants_takes_the_name_as_it_is_written_but_for_case_and_spaces() {
        assert!(same_name(" Ann@example.com", "ann@EXAMPLE.com "));
        for other in ["ann", "ann+1@example.com", "Ann <ann@example.com>", "ann@example.com.", "ann@example.org", ""] {
            assert!(!same_name("ann@example.com", other), "{other}");
        }
        assert!(!same_name("", " "), "nobody is nobody's name");
    }

    #[test]
    fn i07_one_person_under_several_names_counts_once_in_whatever_order() {
        let count = |names: &[&str]| count(names.iter().copied());
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&["ann@x.test", "ann+1@x.test", "ANN@x.test."]), 1);
        assert_eq!(count(&["ann@x.test", "ben@x.test", "ann+1@x.test"]), 2);
        assert_eq!(count(&["ann@x.test", "ann@y.test"]), 2);
        // The bare name may be either of the two, so that two signatures are all that is certain of none.
        for order in [["ann", "ann@x.test", "ann@y.test"], ["ann@x.test", "ann@y.test", "ann"]] {
            assert_eq!(count(&order), 1, "{order:?}");
        }
    }
}
