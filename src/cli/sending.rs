//! What a command that sends says when a message did not leave, and its exit code.
//!
//! `run`, `apply`, `actions undo` and `report --send` come here. The outbox keeps trying, so nothing is lost; but a grace
//! period does not begin without a delivered notice, and a script that asked for a mail must hear that none left (H47).

use super::exit::Exit;
use super::output;
use crate::deliver::outbox::Delivered;
use crate::domain::text::clean;

/// Tells what was not delivered; that is a failure.
pub fn told(delivered: &Delivered) -> Exit {
    match words(delivered) {
        None => Exit::Done,
        Some(words) => {
            output::tell(&words);
            Exit::Failed
        }
    }
}

fn words(delivered: &Delivered) -> Option<String> {
    let mut lines = Vec::new();
    if !delivered.waiting.is_empty() {
        lines.push(format!(
            "not delivered yet: {} messages; the next `run`, `report --send` or the daemon tries them again, and no grace \
             period begins before",
            delivered.waiting.len()
        ));
    }
    for (message, reason) in &delivered.dead {
        lines.push(format!("given up: message {message}: {}", clean(reason)));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h47_what_was_not_delivered_is_told_and_a_failure() {
        let sent = Delivered { accepted: [1, 2, 3].into(), ..Delivered::default() };
        assert_eq!(told(&sent), Exit::Done);
        let waits = Delivered { waiting: [4, 5].into(), ..sent.clone() };
        assert_eq!(told(&waits), Exit::Failed);
        assert!(words(&waits).unwrap().starts_with("not delivered yet: 2 messages; "));
        let dead = Delivered { dead: vec![(7, "550 no such\u{1b}[2J user".into())], ..sent };
        assert_eq!(told(&dead), Exit::Failed);
        assert_eq!(words(&dead).unwrap(), "given up: message 7: 550 no such\u{FFFD}[2J user");
    }
}
