//! Takes a login out of what a mail server says (safety.md, H37).
//!
//! Some servers repeat the line that they refuse, the login among them, and their words become a reason in the log, in
//! the state and on screens. `mail` passes every answer through here. Forms that carry the password: as it is, and in
//! base64 as AUTH PLAIN and AUTH LOGIN send it.

use secrecy::{ExposeSecret, SecretString};

/// The forms of one login that must not be shown. Shows nothing of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Conceal {
    forms: Vec<SecretString>,
}

/// What stands in the place of a login.
const HIDDEN: &str = "[left out]";

impl Conceal {
    /// For a user with a password.
    pub(super) fn login(user: &str, password: &SecretString) -> Conceal {
        let password = password.expose_secret();
        let forms = [
            base64(format!("\0{user}\0{password}").as_bytes()),
            base64(format!("{user}\0{user}\0{password}").as_bytes()),
            base64(password.as_bytes()),
            password.to_owned(),
        ];
        // A password of a letter or two would take words apart, and everybody could guess it.
        let forms = forms.into_iter().filter(|form| form.len() >= 4).map(SecretString::from).collect();
        Conceal { forms }
    }

    /// The text without any of the forms.
    pub(super) fn from(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| {
            let form = form.expose_secret();
            // A server may cut off the padding, or the end of a long line.
            let bare = form.trim_end_matches('=');
            text.replace(form, HIDDEN).replace(bare, HIDDEN)
        })
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = char::from(DIGITS[(bits >> shift & 63) as usize]);
            text.push(if place <= group.len() { digit } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let of = |text: &str| base64(text.as_bytes());
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in pairs {
            assert_eq!(of(plain), encoded);
        }
    }

    #[test]
    fn h37_a_mail_server_that_repeats_the_login_is_not_repeated() {
        let password = SecretString::from("hunter2-hunter2");
        let conceal = Conceal::login("worker", &password);
        let plain = base64(b"\0worker\0hunter2-hunter2");
        for said in [
            format!("535 not these: AUTH PLAIN {plain}"),
            format!("500 what is {}", plain.trim_end_matches('=')),
            format!("535 {}", base64(b"hunter2-hunter2")),
            "535 hunter2-hunter2 is wrong".to_owned(),
        ] {
            let told = conceal.from(&said);
            assert!(told.contains(HIDDEN) && told.starts_with(&said[..4]), "{told}");
            assert!(!told.contains("hunter2") && !told.contains("aHVudGVyMi1odW50ZXIy"), "{told}");
        }
        assert_eq!(conceal.from("550 no such user"), "550 no such user");
        assert!(!format!("{conceal:?}").contains("hunter2"));
        assert_eq!(Conceal::login("a", &SecretString::from("b")).from("b a d"), "b a d");
    }
}
