//! What a rule says, given what its condition says (P9, settled row 3).
//!
//! S0 writes both what is bad (`cost >= budget * 0.8`) and what is good (`length >= 12`); the same engine can treat
//! neither as the other, so a rule says which it is. An unknown is a violation under neither.

use super::expression::Truth;
use super::{Outcome, Polarity};

impl Polarity {
    /// The rule's outcome. A condition whose root name the facts lack is not about them.
    pub fn outcome(self, truth: &Truth) -> Outcome {
        match (self, truth) {
            (Polarity::Violates, Truth::True) | (Polarity::Requires, Truth::False) => Outcome::Violated,
            (Polarity::Violates, Truth::False) | (Polarity::Requires, Truth::True) => Outcome::Compliant,
            (_, Truth::Unknown(_)) => Outcome::Unknown,
            (_, Truth::NoRoot(_)) => Outcome::NotApplicable,
        }
    }

    /// The key in documents.
    pub fn word(self) -> &'static str {
        match self {
            Polarity::Violates => "condition",
            Polarity::Requires => "require",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::expression::{Condition, Facts};
    use serde_json::json;

    fn outcome(polarity: Polarity, text: &str, facts: serde_json::Value) -> Outcome {
        polarity.outcome(&Condition::compile(text).unwrap().evaluate(&Facts::from_json(&facts).unwrap()))
    }

    #[test]
    fn p9_the_same_condition_is_good_or_bad_as_its_rule_says() {
        let eleven = || json!({"password": {"length": 11}});
        let twelve = || json!({"password": {"length": 12}});
        assert_eq!(outcome(Polarity::Requires, "password.length >= 12", eleven()), Outcome::Violated);
        assert_eq!(outcome(Polarity::Requires, "password.length >= 12", twelve()), Outcome::Compliant);
        assert_eq!(outcome(Polarity::Violates, "password.length < 12", eleven()), Outcome::Violated);
        assert_eq!(outcome(Polarity::Violates, "password.length < 12", twelve()), Outcome::Compliant);
    }

    #[test]
    fn p9_an_unknown_violates_under_neither_polarity_and_a_missing_root_is_not_applicable() {
        for polarity in [Polarity::Violates, Polarity::Requires] {
            for text in ["password.length >= 12", "!(password.length >= 12)", "password.length == null"] {
                assert_eq!(outcome(polarity, text, json!({"password": {}})), Outcome::Unknown, "{polarity:?} {text}");
                assert_eq!(
                    outcome(polarity, text, json!({"login": {}})),
                    Outcome::NotApplicable,
                    "{polarity:?} {text}"
                );
            }
        }
    }
}
