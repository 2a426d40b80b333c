//! What the decision point is asked about: who wants to do what to which resource, and whatever the caller adds (E1).
//!
//! Every key of the context is a root that conditions may name: `user_id`, `organization_id`, `action`, `resource`,
//! `metadata`, and any further one (`organization`, `password`, `failed_logins`). A root that the caller leaves out
//! makes rules that need it not apply; a field missing under a root that is there is unknown.

use serde_json::{Map, Value};

use crate::domain::text::clean;
use crate::policy::expression::Facts;
use crate::policy::{Policy, Reach};

/// A question to the decision point.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// Who.
    pub user_id: Option<String>,
    /// For which organization.
    pub organization_id: Option<String>,
    /// What.
    pub action: String,
    /// To which resource: its id or its sort.
    pub resource: String,
    /// Anything about the request, such as `ip_address` and `user_agent`.
    pub metadata: Map<String, Value>,
    /// Further roots.
    pub roots: Map<String, Value>,
}

impl Context {
    /// A context that says no more than action and resource.
    pub fn new(action: &str, resource: &str) -> Context {
        Context {
            user_id: None,
            organization_id: None,
            action: action.to_owned(),
            resource: resource.to_owned(),
            metadata: Map::new(),
            roots: Map::new(),
        }
    }

    /// From a JSON object: `action` and `resource` must be there; every key that is not one of the five is a root.
    ///
    /// # Errors
    /// What is missing or of the wrong type, in words.
    pub fn from_json(json: &Value) -> Result<Context, String> {
        let Value::Object(object) = json else { return Err("a context is an object with keys".into()) };
        let text = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("{key} is not a text")),
        };
        let needed =
            |key: &str| text(key)?.ok_or_else(|| format!("{key} is missing; a context has action and resource"));
        let metadata = match object.get("metadata") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) => map.clone(),
            Some(_) => return Err("metadata is not an object with keys".into()),
        };
        let own = ["user_id", "organization_id", "action", "resource", "metadata"];
        let roots = object.iter().filter(|(key, _)| !own.contains(&key.as_str()));
        Ok(Context {
            user_id: text("user_id")?,
            organization_id: text("organization_id")?,
            action: needed("action")?,
            resource: needed("resource")?,
            metadata,
            roots: roots.map(|(key, value)| (key.clone(), value.clone())).collect(),
        })
    }

    /// The roots for conditions.
    ///
    /// # Errors
    /// A value over the limits of `expression`, with its root.
    pub fn facts(&self) -> Result<Facts, String> {
        let mut all = self.roots.clone();
        let ids = [("user_id", &self.user_id), ("organization_id", &self.organization_id)];
        all.extend(ids.into_iter().filter_map(|(key, id)| Some((key.to_owned(), Value::from(id.clone()?)))));
        all.insert("action".into(), self.action.clone().into());
        all.insert("resource".into(), self.resource.clone().into());
        all.insert("metadata".into(), Value::Object(self.metadata.clone()));
        Facts::from_json(&Value::Object(all)).map(|facts| facts.from_source("the caller's context"))
    }

    /// Whether a policy is about this question (P7).
    pub fn reached_by(&self, policy: &Policy) -> bool {
        let matches = |wanted: &Option<String>, own: Option<&str>| {
            own.is_some_and(|own| wanted.as_deref().is_none_or(|wanted| wanted == own))
        };
        policy.is_over_contexts()
            && match &policy.reach {
                Reach::Global => true,
                Reach::Organization(id) => {
                    matches(id, self.organization_id.as_deref()) || self.root_is(id, "organization")
                }
                Reach::User(id) => matches(id, self.user_id.as_deref()) || self.root_is(id, "user"),
                Reach::Resource(id) => matches(id, Some(&self.resource)),
            }
    }

    /// Whether a root is the one with this id: by its `id`, or by itself where it is no map. A number is its digits;
    /// an id that is neither text nor number may be any, so that writing it oddly is no way out of a policy.
    fn root_is(&self, wanted: &Option<String>, root: &str) -> bool {
        let given = match self.roots.get(root) {
            Some(Value::Object(map)) => map.get("id"),
            other => other,
        };
        match (given, wanted) {
            (None | Some(Value::Null), _) => false,
            (Some(Value::String(id)), Some(wanted)) => id == wanted,
            (Some(Value::Number(id)), Some(wanted)) => id.to_string() == *wanted,
            (Some(_), _) => true,
        }
    }

    /// Who wants what, on one line.
    pub fn shown(&self) -> String {
        let who = self.user_id.as_deref().or(self.organization_id.as_deref()).unwrap_or("somebody");
        format!("{} wants {} on {}", clean(who), clean(&self.action), clean(&self.resource))
    }
}

/// The policies of one scope (E5): those that reach exactly this, and the global ones where the scope is global.
pub fn policies_for_scope<'p>(policies: &'p [Policy], scope: &Reach) -> Vec<&'p Policy> {
    policies.iter().filter(|policy| policy.is_over_contexts() && policy.reach == *scope).collect()
}
