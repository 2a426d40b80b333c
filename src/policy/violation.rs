//! What S0's policies say beside their rules: kind, whom they reach, what a violation leads to, who wrote them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// S0's five policy types (P1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Who may reach what, and when.
    AccessControl,
    /// How data is kept, hidden and deleted.
    DataProtection,
    /// Passwords, sessions, keys.
    Security,
    /// How much of something may be used or spent.
    Usage,
    /// What a law or a standard asks for.
    Compliance,
}

/// Whom a policy over contexts is for (P7): S0's `scope` with its `scope_id`. Without an id it is for all of the kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Everybody.
    #[default]
    Global,
    /// One organization, or any.
    Organization(Option<String>),
    /// One user, or any.
    User(Option<String>),
    /// One resource, or any.
    Resource(Option<String>),
}

/// What a violation leads to (P6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ViolationAction {
    /// Written to the audit log; every violation is, asked for or not.
    Log,
    /// Told.
    Alert {
        /// Mail addresses, or rooms such as `slack:#finance` and `teams:finance`.
        recipients: Vec<String>,
    },
    /// The request is denied.
    Block,
    /// The request waits for a person.
    RequireApproval {
        /// Who may say yes.
        approvers: Vec<String>,
    },
    /// The user is suspended for a while.
    Suspend {
        /// Minutes.
        duration_minutes: u64,
    },
    /// A signed message goes to an address.
    Webhook {
        /// https.
        url: String,
    },
}

/// Who made a policy, when, and what else was written down; nothing is decided by it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was last changed.
    pub updated_at: Option<DateTime<Utc>>,
    /// By whom.
    pub created_by: Option<String>,
    /// Anything else.
    pub metadata: BTreeMap<String, serde_json::Value>,
}

impl Category {
    /// All of them.
    pub const ALL: [Category; 5] =
        [Category::AccessControl, Category::DataProtection, Category::Security, Category::Usage, Category::Compliance];

    /// The word in documents.
    pub fn word(self) -> &'static str {
        match self {
            Category::AccessControl => "access_control",
            Category::DataProtection => "data_protection",
            Category::Security => "security",
            Category::Usage => "usage",
            Category::Compliance => "compliance",
        }
    }
}

impl Reach {
    /// The word in documents.
    pub fn word(&self) -> &'static str {
        match self {
            Reach::Global => "global",
            Reach::Organization(_) => "organization",
            Reach::User(_) => "user",
            Reach::Resource(_) => "resource",
        }
    }

    /// `scope_id`.
    pub fn id(&self) -> Option<&str> {
        match self {
            Reach::Global => None,
            Reach::Organization(id) | Reach::User(id) | Reach::Resource(id) => id.as_deref(),
        }
    }
}

impl ViolationAction {
    /// The word in documents.
    pub fn word(&self) -> &'static str {
        match self {
            ViolationAction::Log => "log",
            ViolationAction::Alert { .. } => "alert",
            ViolationAction::Block => "block",
            ViolationAction::RequireApproval { .. } => "require_approval",
            ViolationAction::Suspend { .. } => "suspend",
            ViolationAction::Webhook { .. } => "webhook",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn p1_the_five_types_have_their_wire_names_and_are_keys_of_a_map() {
        let words: Vec<_> = Category::ALL.iter().map(|category| serde_json::to_value(category).unwrap()).collect();
        assert_eq!(words, ["access_control", "data_protection", "security", "usage", "compliance"]);
        assert_eq!(words, Category::ALL.map(Category::word));
        let scores: BTreeMap<Category, u8> = Category::ALL.into_iter().zip(1..).collect();
        assert_eq!(serde_json::to_value(&scores).unwrap()["usage"], 4);
    }

    #[test]
    fn p6_actions_are_objects_with_a_lower_snake_type() {
        let actions = vec![
            ViolationAction::Log,
            ViolationAction::Alert { recipients: vec!["finance@example.com".into()] },
            ViolationAction::Block,
            ViolationAction::RequireApproval { approvers: vec!["finance_manager".into()] },
            ViolationAction::Suspend { duration_minutes: 30 },
            ViolationAction::Webhook { url: "https://hooks.example.com/x".into() },
        ];
        let wire = json!([
            {"type": "log"},
            {"type": "alert", "recipients": ["finance@example.com"]},
            {"type": "block"},
            {"type": "require_approval", "approvers": ["finance_manager"]},
            {"type": "suspend", "duration_minutes": 30},
            {"type": "webhook", "url": "https://hooks.example.com/x"},
        ]);
        assert_eq!(serde_json::to_value(&actions).unwrap(), wire);
        assert_eq!(serde_json::from_value::<Vec<ViolationAction>>(wire.clone()).unwrap(), actions);
        for (action, wire) in actions.iter().zip(wire.as_array().unwrap()) {
            assert_eq!(action.word(), wire["type"]);
        }
    }
}
