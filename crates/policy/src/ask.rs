//! One question in words: what a task's facts, a test case and the audit log are turned into before Cedar is asked.

use std::borrow::Cow;
use std::collections::BTreeMap;

use cedar_policy_core::ast;
use serde::{Deserialize, Serialize};

use crate::actions::{Action, SURROUNDINGS, Shape};
use crate::cedar::{NameError, uid};

/// Attributes by name.
pub type Attributes = BTreeMap<Cow<'static, str>, Value>;

/// May this principal do this with that?
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Who asks.
    pub principal: String,
    /// Whether this machine's own accounts vouch for them.
    #[serde(default = "yes")]
    pub local: bool,
    /// The roles that they hold beside those that the policy's entities give them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Other attributes of theirs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user: Attributes,
    /// What they would do.
    pub action: Cow<'static, str>,
    /// With what: the id; its type follows from the action.
    pub resource: String,
    /// Its attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: Attributes,
    /// Everything else that the schema lets the question say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: Attributes,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// A set of texts.
    Texts(Vec<String>),
    /// An entity.
    Entity(EntityName),
    /// Named values.
    Record(BTreeMap<String, Value>),
}

/// The name of an entity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityName {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// A question that does not fit the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AskError(pub String);

fn yes() -> bool {
    true
}

impl Ask {
    /// The action, and every attribute that was left out.
    ///
    /// # Errors
    /// [`AskError`] for an action or attribute that the schema does not have, and for a value of another type.
    pub fn complete(&mut self) -> Result<&'static Action, AskError> {
        let action = Action::of(&self.action).ok_or_else(|| unknown_action(&self.action))?;
        let principal = self.principal.clone();
        let name = match (action.resource.name, self.resource.rsplit_once('/')) {
            ("Field", Some((_, column))) => column.to_owned(),
            ("Field", None) => {
                return Err(AskError(format!("the column `{}` is not written DATASET/COLUMN", self.resource)));
            }
            _ => self.resource.clone(),
        };
        let resource = action.resource;
        fill(&mut self.attributes, resource.attributes, &principal, &name, resource.name)?;
        let mut context = std::mem::take(&mut self.context);
        let given: Vec<_> = SURROUNDINGS.iter().filter_map(|name| context.remove_entry(*name)).collect();
        fill(&mut context, action.context, &principal, &name, action.name)?;
        context.extend(given);
        context.entry("purpose".into()).or_insert_with(|| Value::Text(String::new()));
        context.entry("role".into()).or_insert_with(|| Value::Text(String::new()));
        self.context = context;
        Ok(action)
    }

    /// The dataset of a field.
    pub(crate) fn dataset(&self) -> Option<&str> {
        let Some(Value::Text(name)) = self.attributes.get("name") else { return None };
        self.resource.strip_suffix(name.as_str())?.strip_suffix('/')
    }

    /// A text of the resource, or nothing.
    pub(crate) fn word_of_resource(&self, name: &str) -> &str {
        match self.attributes.get(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// A text of the context, or nothing.
    pub(crate) fn word(&self, name: &str) -> &str {
        match self.context.get(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }
}

fn unknown_action(name: &str) -> AskError {
    let names: Vec<_> = crate::actions::ACTIONS.iter().map(|action| action.name).collect();
    AskError(format!("there is no action `{}` (there are {})", name.escape_debug(), names.join(", ")))
}

/// Fills what is absent and has a value of its own; refuses what does not belong there.
fn fill(
    given: &mut Attributes,
    shapes: &'static [(&'static str, Shape)],
    principal: &str,
    name: &str,
    of: &str,
) -> Result<(), AskError> {
    for (key, value) in given.iter() {
        let Some((_, shape)) = shapes.iter().find(|(known, _)| known == key) else {
            let known: Vec<_> = shapes.iter().map(|(known, _)| *known).collect();
            return Err(AskError(format!("`{of}` has no attribute `{key}` (it has {})", known.join(", "))));
        };
        if !shape.takes(value) {
            return Err(AskError(format!("`{key}` of `{of}` is of another type")));
        }
    }
    for (key, shape) in shapes {
        if given.contains_key(*key) {
            continue;
        }
        let value = match shape {
            Shape::Flag(flag) => Value::Flag(*flag),
            Shape::Number(number) => Value::Number(*number),
            Shape::Word(word) => Value::Text((*word).to_owned()),
            Shape::Words | Shape::Users => Value::Texts(Vec::new()),
            Shape::Asker => Value::Entity(EntityName { kind: "User".to_owned(), id: principal.to_owned() }),
            Shape::Name => Value::Text(name.to_owned()),
            Shape::Model => return Err(AskError(format!("`{of}` needs `{key}`"))),
            Shape::MaybeWord | Shape::MaybeNumber | Shape::MaybeWords => continue,
        };
        given.insert(Cow::Borrowed(key), value);
    }
    Ok(())
}

impl Shape {
    fn takes(self, value: &Value) -> bool {
        matches!(
            (self, value),
            (Self::Flag(_), Value::Flag(_))
                | (Self::Number(_) | Self::MaybeNumber, Value::Number(_))
                | (Self::Word(_) | Self::Name | Self::MaybeWord, Value::Text(_))
                | (Self::Words | Self::Users | Self::MaybeWords, Value::Texts(_))
                | (Self::Asker | Self::Model, Value::Entity(_))
        )
    }
}

impl Value {
    /// The value itself: not an expression, which Cedar would have to evaluate first.
    pub(crate) fn to_cedar(&self) -> Result<ast::Value, NameError> {
        Ok(match self {
            Self::Flag(value) => (*value).into(),
            Self::Number(value) => (*value).into(),
            Self::Text(value) => value.as_str().into(),
            Self::Texts(values) => ast::Value::set_of_lits(values.iter().map(|value| value.as_str().into()), None),
            Self::Entity(name) => uid(&name.kind, &name.id)?.into(),
            Self::Record(values) => {
                let pairs = values.iter().map(|(name, value)| Ok((name.as_str(), value.to_cedar()?)));
                ast::Value::record(pairs.collect::<Result<Vec<_>, NameError>>()?, None)
            }
        })
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "\"{}\"", value.escape_debug()),
            Self::Texts(values) => {
                let values: Vec<_> = values.iter().map(|value| format!("\"{}\"", value.escape_debug())).collect();
                write!(f, "[{}]", values.join(", "))
            }
            Self::Entity(name) => write!(f, "{}::\"{}\"", name.kind, name.id.escape_debug()),
            Self::Record(values) => {
                let values: Vec<_> = values.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                write!(f, "{{{}}}", values.join(", "))
            }
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&[String]> for Value {
    fn from(values: &[String]) -> Self {
        Self::Texts(values.to_vec())
    }
}

impl Value {
    /// The user of this id.
    pub(crate) fn user(id: &str) -> Self {
        Self::Entity(EntityName { kind: "User".to_owned(), id: id.to_owned() })
    }
}
