//! One mail address, checked before it can reach a header or a command.
//!
//! Tags can hold anything, and an address in a header is where text becomes instructions. What is accepted here is
//! narrower than the standards: ASCII, no quotes, no comments, no display name.

/// The longest address that a mail server must take, in bytes.
pub const MAX_BYTES: usize = 254;

/// Splits `text` into user and domain if it is one plain address; else says what is wrong with it.
pub fn parse(text: &str) -> Result<(&str, &str), String> {
    let refuse = |why: &str| Err(format!("{:?} is not one mail address: {why}", crate::domain::text::clean(text)));
    if text.len() > MAX_BYTES {
        return refuse("it is longer than 254 bytes");
    }
    if !text.is_ascii() {
        return refuse("it has letters beyond ASCII");
    }
    let Some((user, domain)) = text.split_once('@') else { return refuse("it has no @") };
    let dots_are_fine = |part: &str| !part.is_empty() && part.split('.').all(|label| !label.is_empty());
    let user_is_fine = user.len() <= 64
        && dots_are_fine(user)
        && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte));
    if !user_is_fine {
        return refuse(
            "the part before the @ may have letters, digits and !#$%&'*+-/=?^_`{|}~. and at most 64 of them",
        );
    }
    let label_is_fine = |label: &str| {
        label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !dots_are_fine(domain) || !domain.split('.').all(label_is_fine) {
        return refuse("the part after the @ is not a domain");
    }
    Ok((user, domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_are_taken_apart() {
        assert_eq!(parse("ann.o'neil+aws@mail.example.com"), Ok(("ann.o'neil+aws", "mail.example.com")));
        assert_eq!(parse("ops@localhost"), Ok(("ops", "localhost")));
    }

    #[test]
    fn h38_nothing_that_could_become_a_header_or_a_second_recipient_is_an_address() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}.com", "b.".repeat(130));
        for hostile in [
            "",
            "@",
            "a@",
            "@example.com",
            "ann",
            "ann@example.com\r\nBcc: everyone@example.com",
            "ann@example.com\n",
            "ann@example.com\0",
            " ann@example.com",
            "ann@example.com ",
            "ann@example.com,bob@example.com",
            "ann@example.com;bob@example.com",
            "ann@bob@example.com",
            "Ann <ann@example.com>",
            "<ann@example.com>",
            "\"ann\"@example.com",
            "ann@[127.0.0.1]",
            "ann..b@example.com",
            ".ann@example.com",
            "ann@example..com",
            "ann@-example.com",
            "änn@example.com",
            "ann@exämple.com",
            "ann(comment)@example.com",
            "ann@example.com>\r\nRCPT TO:<x@y.z",
            "ann\t@example.com",
            &long,
            &longer,
        ] {
            assert!(parse(hostile).is_err(), "{hostile:?}");
        }
    }
}
