//! What a condition's text must not exceed, checked before the parser sees it.
//!
//! The parser recurses once for each open bracket and each ternary, and the tree it builds is as deep as a chain of
//! operators is long; on hostile text either would overflow the stack, which no caller can catch. Strings and comments
//! are skipped by CEL's own rules, so a bracket in quotes does not count.

use super::ConditionError;

/// Longest condition, in bytes.
pub const MAX_BYTES: usize = 2048;
/// Most brackets open at one place, and most ternaries in one another.
pub const MAX_NESTING: usize = 32;
/// Most signs `!` or `-` before one operand.
pub const MAX_SIGNS: usize = 8;

/// Refuses text that is too long or too deeply nested.
pub(super) fn check(text: &str) -> Result<(), ConditionError> {
    if text.len() > MAX_BYTES {
        let shown = (0..=MAX_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        return Err(ConditionError {
            offset: shown,
            width: 1,
            problem: format!("the condition has {} bytes", text.len()),
            accepted: format!("at most {MAX_BYTES} bytes; split it into several rules"),
        });
    }
    if let Some(at) = text.bytes().position(|byte| byte < b' ' && !matches!(byte, b'\n' | b'\r' | b'\t')) {
        return Err(ConditionError {
            offset: at,
            width: 1,
            problem: "a control character".into(),
            accepted: "printable text".into(),
        });
    }
    if text.trim().is_empty() {
        return Err(ConditionError {
            offset: 0,
            width: text.len().max(1),
            problem: "the condition is empty".into(),
            accepted: "an expression that is true or false, such as `resource.age_days > 30`".into(),
        });
    }
    nesting(text)
}

fn nesting(text: &str) -> Result<(), ConditionError> {
    let bytes = text.as_bytes();
    let (mut at, mut brackets, mut ternaries, mut signs) = (0, 0usize, 0usize, 0usize);
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'\'' | b'"' => {
                at = after_string(bytes, at, is_raw(bytes, at));
                signs = 0;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |line| at + line);
                continue;
            }
            b'(' | b'[' | b'{' => brackets += 1,
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            b'?' => ternaries += 1,
            _ => {}
        }
        match byte {
            b'!' | b'-' if bytes.get(at + 1) != Some(&b'=') => signs += 1,
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => signs = 0,
        }
        let too_deep = |what: &str, most: usize| ConditionError {
            offset: at,
            width: 1,
            problem: format!("more than {most} {what}"),
            accepted: format!("at most {most}; split the condition into several rules"),
        };
        if brackets > MAX_NESTING {
            return Err(too_deep("brackets inside one another", MAX_NESTING));
        }
        if ternaries > MAX_NESTING {
            return Err(too_deep("choices with `?`", MAX_NESTING));
        }
        if signs > MAX_SIGNS {
            return Err(too_deep("signs before one operand", MAX_SIGNS));
        }
        at += 1;
    }
    Ok(())
}

/// The index after the string that opens at `at`; the end of the text when it never closes.
fn after_string(bytes: &[u8], at: usize, raw: bool) -> usize {
    let quote = bytes[at];
    let triple = bytes[at..].starts_with(&[quote; 3]);
    let (mut index, close) = if triple { (at + 3, 3) } else { (at + 1, 1) };
    while index < bytes.len() {
        if bytes[index] == b'\\' && !raw {
            index += 2;
        } else if bytes[index..].starts_with(&[quote; 3][..close]) {
            return index + close;
        } else {
            index += 1;
        }
    }
    bytes.len()
}

/// The text in quotes that a byte of a condition lies in, with its quotes; `None` outside of all.
pub(crate) fn string_around(text: &str, offset: usize) -> Option<std::ops::Range<usize>> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    while at <= offset && at < bytes.len() {
        if matches!(bytes[at], b'\'' | b'"') {
            let end = after_string(bytes, at, is_raw(bytes, at));
            if offset < end {
                return (at <= offset).then_some(at..end);
            }
            at = end;
        } else if bytes[at..].starts_with(b"//") {
            at = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |line| at + line);
        } else {
            at += 1;
        }
    }
    None
}

/// Whether the quote at `at` opens a raw text: after an `r` that ends no longer name, beside a `b` or not.
fn is_raw(bytes: &[u8], at: usize) -> bool {
    at > 0
        && matches!(bytes[at - 1], b'r' | b'R')
        && !(at > 1 && is_word(bytes[at - 2]) && !matches!(bytes[at - 2], b'b' | b'B'))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        check(text).unwrap_err().problem
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let quoted = "(".repeat(100);
        for text in [
            format!("x == '{quoted}'"),
            format!("x == \"\\\"{quoted}\""),
            format!("x == r'\\' || y == '{quoted}'"),
            format!("x == '''it's {quoted}'''"),
            format!("true // {quoted}"),
        ] {
            assert_eq!(check(&text), Ok(()), "{text}");
        }
        assert_eq!(problem(&format!("x == '' || {quoted}")), "more than 32 brackets inside one another");
    }

    #[test]
    fn h41_each_way_to_recurse_has_its_bound() {
        let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(check(&nested(32)), Ok(()));
        assert_eq!(problem(&nested(33)), "more than 32 brackets inside one another");
        assert_eq!(problem(&nested(100)), "more than 32 brackets inside one another");
        assert_eq!(problem(&format!("{}a", "!".repeat(100))), "more than 8 signs before one operand");
        assert_eq!(problem(&format!("0 < {}1", "- ".repeat(100))), "more than 8 signs before one operand");
        assert_eq!(problem(&"a ? b : ".repeat(40)), "more than 32 choices with `?`");
        assert_eq!(problem(&" ".repeat(10)), "the condition is empty");
        assert_eq!(problem(&"a".repeat(1 << 20)), "the condition has 1048576 bytes");
        assert_eq!(check("a ? b"), Ok(()), "whether it is complete is the parser's matter");
        assert_eq!(problem("a\u{0}b"), "a control character");
    }
}
