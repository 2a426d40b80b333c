//! Plain values back into text that people read, for files that the program writes.

use serde_json::Value as Json;

/// A value as a TOML file.
///
/// # Errors
/// In words: TOML knows no null, and a file is a table.
pub fn to_toml(value: &Json) -> Result<String, String> {
    toml::to_string_pretty(value).map_err(|error| error.to_string())
}

/// A value as a YAML document.
///
/// # Errors
/// In words, when the library refuses it.
pub fn to_yaml(value: &Json) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::{parse_toml, parse_yaml};
    use super::*;

    #[test]
    fn what_is_written_reads_back_as_the_same_value() {
        let value = json!({
            "text": "a: 'b' \"c\" # d\\ {{x}}", "word": "yes", "digits": "012345678901", "account": "111122223333",
            "many": "one\ntwo\n", "empty": "", "star": "*", "date": "2026-11-22", "number": 3, "decimal": 0.8,
            "list": [1, 2.5, true, {"k": [{"x": "-60d"}]}], "map": {"a b": {"c": "null"}},
        });
        let file = Path::new("a");
        assert_eq!(parse_toml(file, &to_toml(&value).unwrap()).unwrap().to_json(), value);
        let yaml = to_yaml(&value).unwrap();
        assert_eq!(parse_yaml(file, &yaml).unwrap()[0].to_json(), value, "{yaml}");
    }
}
