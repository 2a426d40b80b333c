//! A document inside a row, kept as the text that it was written as.
//!
//! The journal's rows hold recipes: whole resources, read back once in a while when something is taken back, while the row
//! itself is read and written at every look. So the recipe travels as its text, is copied by a counter, and becomes
//! fields only where somebody asks for them. What cannot be read is an error there, and loses nothing.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// One document as JSON text.
#[derive(Clone, Debug)]
pub struct Kept(Arc<RawValue>);

impl Kept {
    /// A value as it is kept; `None` for one that JSON cannot say, which our own types never are.
    pub fn of<T: Serialize>(value: &T) -> Option<Kept> {
        serde_json::value::to_raw_value(value).ok().map(|raw| Kept(Arc::from(raw)))
    }

    /// The value again.
    ///
    /// # Errors
    /// What the text lacks or has too much for a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.0.get())
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Kept) -> bool {
        self.text() == other.text()
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Kept, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Kept(Arc::from(raw)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        name: String,
        recipe: Option<Kept>,
    }

    #[test]
    fn a_document_comes_back_as_it_was_written_and_is_written_as_it_came() {
        let text = r#"{"name":"r-1","recipe":{"b": [1, 2.50], "a": "ü\"\\"}}"#;
        let row: Row = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&row).unwrap(), text, "no space of it is lost");
        let value: serde_json::Value = row.recipe.unwrap().read().unwrap();
        assert_eq!(value, serde_json::json!({ "b": [1, 2.5], "a": "ü\"\\" }));
        assert_eq!(Kept::of(&(1, "x")).unwrap().read::<(u32, String)>().unwrap(), (1, "x".to_owned()));
    }

    #[test]
    fn what_is_missing_is_missing_and_what_is_no_json_is_an_error() {
        let row: Row = serde_json::from_str(r#"{"name":"r-1","recipe":null}"#).unwrap();
        assert_eq!(row.recipe, None);
        assert!(serde_json::from_str::<Row>(r#"{"name":"r-1","recipe":{"a"}}"#).is_err());
        assert!(Kept::of(&1).unwrap().read::<String>().is_err());
    }
}
