//! Enumerations that stand as one word in JSON, SQL and tables, each word written once.
//!
//! For the nouns of this folder: [`words!`] gives a type its `ALL`, `word`, `from_word` and `Display`. What the words are
//! stays beside the type; that serde says the same is the type's own matter.

/// Gives an enumeration its words, in order.
macro_rules! words {
    ($type:ty, $($variant:ident => $word:literal),+ $(,)?) => {
        impl $type {
            /// All of them, in order.
            pub const ALL: [$type; [$($word),+].len()] = [$(<$type>::$variant),+];

            /// The word used in JSON, SQL and tables.
            pub fn word(self) -> &'static str {
                match self { $(<$type>::$variant => $word),+ }
            }

            /// From the word.
            pub fn from_word(word: &str) -> Option<$type> {
                match word { $($word => Some(<$type>::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

pub(super) use words;
