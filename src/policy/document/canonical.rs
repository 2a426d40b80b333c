//! Canonical JSON and the short hash over it (L3).
//!
//! Keys sorted, `", "` and `": "` as separators, everything outside ASCII escaped: one fixed form, so that a hash
//! stands for what a document says and not for how it is laid out.

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The one text of a value.
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// First 16 hexadecimal digits of SHA-256 over the canonical JSON.
pub fn short_hash(value: &Value) -> String {
    Sha256::digest(canonical_json(value).as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_text(out, key);
                out.push_str(": ");
                write_value(out, item);
            }
            out.push('}');
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_text_is_ascii() {
        let value = json!({"b": [1, true, null], "a": {"ü": "😀\n\u{7f}"}});
        assert_eq!(
            canonical_json(&value),
            "{\"a\": {\"\\u00fc\": \"\\ud83d\\ude00\\n\\u007f\"}, \"b\": [1, true, null]}"
        );
    }
}
