//! Templates: policies with typed variables, and frameworks made of them (T1–T5, T8). Pure.
//!
//! A template file names its variables and holds policies in which `{{name}}` stands for a value. Making policies of
//! it gives the same policies for the same values on every machine: ids come from names, hashes from contents. A
//! variable that the template does not know, one without a value, and a value of another type are mistakes.

mod fill;
mod framework;
mod load;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value as Json;

use super::document::{At, Checker, Errors, Node};
use super::front::expressions;
use super::{Category, Policy};
pub use framework::{Framework, Generated, Options, generate};
pub use load::schema;
pub use value::{Variable, VariableType};

/// The files that come with the program, by name.
const BUILT_IN: [(&str, &str); 4] = [
    ("account_lockout", include_str!("../../../config/policy_templates/account_lockout.toml")),
    ("gdpr_compliance", include_str!("../../../config/policy_templates/gdpr_compliance.toml")),
    ("rate_limiting", include_str!("../../../config/policy_templates/rate_limiting.toml")),
    ("soc2_security", include_str!("../../../config/policy_templates/soc2_security.toml")),
];

/// Policies with variables, checked.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// The type of its policies that say none.
    pub category: Category,
    /// In the file's order.
    pub variables: Vec<Variable>,
    /// The file that it was read from.
    pub path: PathBuf,
    text: String,
    policies: Vec<Node>,
}

/// One policy made from a template.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The policy.
    pub policy: Policy,
    /// Its document, with its id; loading it gives the same policy.
    pub document: Json,
}

/// Why no policies were made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Values that do not fit, all of them.
    #[error("{}", .0.join("\n"))]
    Values(Vec<String>),
    /// A policy that is wrong with these values.
    #[error(transparent)]
    Document(#[from] Errors),
}

impl Template {
    /// The templates that come with the program, by name.
    ///
    /// # Errors
    /// Never, as a test says; a mistake in a shipped file would be told like any other.
    pub fn built_in() -> Result<Vec<Template>, Errors> {
        let parse = |(name, text): (&str, &str)| {
            Template::parse(&PathBuf::from(format!("config/policy_templates/{name}.toml")), text)
        };
        BUILT_IN.into_iter().map(parse).collect()
    }

    /// The variable with a name.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|variable| variable.name == name)
    }

    /// The policies with these values; defaults hold for the others.
    ///
    /// # Errors
    /// Every unknown, missing or mistyped value; else every mistake of the policies that they make.
    pub fn instantiate(&self, values: &BTreeMap<String, Json>) -> Result<Vec<Instance>, TemplateError> {
        let bound = value::bind(&self.name, &self.variables, values).map_err(TemplateError::Values)?;
        Ok(self.make(&bound)?)
    }

    fn make(&self, bound: &BTreeMap<String, value::Bound>) -> Result<Vec<Instance>, Errors> {
        let mut checker = Checker::new(&self.path, &self.text);
        let mut instances = Vec::with_capacity(self.policies.len());
        for (index, node) in self.policies.iter().enumerate() {
            let whole = fill::with_id(fill::filled(node, self.category, bound));
            let at = At::root(&whole).named(format!("policies[{index}]"));
            if let Some(policy) = expressions::policy(&mut checker, &at, &whole, &self.path) {
                instances.push(Instance { policy, document: whole.to_json() });
            }
        }
        let instances = checker.finish(instances)?;
        super::unite([Ok(instances.iter().map(|instance| instance.policy.clone()).collect())])?;
        Ok(instances)
    }
}

#[cfg(test)]
mod tests;
