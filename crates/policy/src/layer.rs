//! Policy files laid over the default policy: parsed, checked against the schema, and forbidding only.

use std::str::FromStr;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{Effect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use serde::Serialize;

use crate::compiled::RULES;
use crate::error::PolicyError;
use crate::overlay::MAX_FILE_BYTES;
use crate::rules::SCHEMA;

/// Most rules that one denial cites: more would help nobody.
pub(crate) const MAX_RULES_CITED: usize = 16;

/// One rule of a file, for `policy check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleInfo {
    /// Its id.
    pub id: String,
    /// Why it is there.
    pub reason: String,
    /// What would have to change for a request that it forbids.
    pub remedy: String,
}

/// A checked file.
pub(crate) struct Layer {
    pub(crate) rules: Vec<LayerRule>,
}

/// A rule of a layer.
#[derive(Debug)]
pub(crate) struct LayerRule {
    pub(crate) id: String,
    pub(crate) reason: String,
    pub(crate) remedy: String,
    pub(crate) policy: Policy,
}

/// Checks one policy file as a layer over the default policy.
///
/// # Errors
/// Every fault that it has, each a [`PolicyError`] with its line.
pub fn check_policy(file: &str, source: &str) -> Result<Vec<RuleInfo>, Vec<PolicyError>> {
    let layer = Layer::parse(file, source, &[])?;
    let info = |rule: LayerRule| RuleInfo { id: rule.id, reason: rule.reason, remedy: rule.remedy };
    Ok(layer.rules.into_iter().map(info).collect())
}

impl Layer {
    /// Parses and checks `source`, of which the ids must differ from those of `earlier` and the default policy.
    /// The list of errors is never empty.
    pub(crate) fn parse(file: &str, source: &str, earlier: &[LayerRule]) -> Result<Self, Vec<PolicyError>> {
        if source.len() > MAX_FILE_BYTES {
            let (file, bytes) = (file.to_owned(), source.len());
            return Err(vec![PolicyError::TooLong { file, bytes, most: MAX_FILE_BYTES }]);
        }
        let parsed = PolicySet::from_str(source).map_err(|errors| syntax_errors(file, source, &errors))?;
        let mut rules: Vec<LayerRule> = Vec::new();
        let mut errors = Vec::new();
        if let Some(template) = parsed.templates().next() {
            let problem = "a template is not a rule: it has a slot that nobody fills".to_owned();
            let line = line_of(source, template.annotation("id"));
            errors.push(PolicyError::Syntax { file: file.to_owned(), line, problem });
        }
        for policy in parsed.policies() {
            match check_rule(file, source, policy) {
                Ok(rule) if taken(&rule.id, &rules, earlier) => {
                    let line = line_of(source, Some(&rule.id));
                    errors.push(PolicyError::Duplicate { file: file.to_owned(), line, id: rule.id });
                }
                Ok(rule) => rules.push(rule),
                Err(error) => errors.push(error),
            }
        }
        errors.extend(schema_errors(file, source, &parsed));
        if errors.is_empty() { Ok(Self { rules }) } else { Err(errors) }
    }
}

fn taken(id: &str, here: &[LayerRule], earlier: &[LayerRule]) -> bool {
    here.iter().chain(earlier).any(|rule| rule.id == id) || RULES.iter().any(|rule| rule.id == id)
}

fn check_rule(file: &str, source: &str, policy: &Policy) -> Result<LayerRule, PolicyError> {
    let id = policy.annotation("id");
    let line = line_of(source, id);
    let need = |annotation: &'static str| {
        policy
            .annotation(annotation)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .ok_or_else(|| PolicyError::Annotation { file: file.to_owned(), line, annotation })
    };
    let (id, reason, remedy) = (need("id")?, need("reason")?, need("remedy")?);
    if policy.effect() == Effect::Permit {
        return Err(PolicyError::LayerPermits { file: file.to_owned(), line, id });
    }
    let policy = policy.new_id(PolicyId::new(&id));
    Ok(LayerRule { id, reason, remedy, policy })
}

fn syntax_errors(file: &str, source: &str, errors: &cedar_policy::ParseErrors) -> Vec<PolicyError> {
    errors
        .iter()
        .map(|error| {
            let place = DetailedError::from(error).source_locations.first().map(|place| place.loc.start);
            PolicyError::Syntax {
                file: file.to_owned(),
                line: line_at(source, place.unwrap_or(0)),
                problem: error.to_string(),
            }
        })
        .collect()
}

fn schema_errors(file: &str, source: &str, rules: &PolicySet) -> Vec<PolicyError> {
    let schema = match Schema::from_cedarschema_str(SCHEMA) {
        Ok((schema, _)) => schema,
        Err(error) => {
            let problem = format!("our own schema cannot be read: {error}");
            return vec![PolicyError::Schema { file: file.to_owned(), line: 1, problem }];
        }
    };
    let result = Validator::new(schema).validate(rules, ValidationMode::Strict);
    let line = |id: &PolicyId| line_of(source, rules.policy(id).and_then(|policy| policy.annotation("id")));
    let error = |line, problem| PolicyError::Schema { file: file.to_owned(), line, problem };
    let errors = result.validation_errors().map(|found| error(line(found.policy_id()), found.to_string()));
    // A warning is a rule that can never apply: it would protect nothing.
    let warnings = result.validation_warnings().map(|found| error(line(found.policy_id()), found.to_string()));
    errors.chain(warnings).collect()
}

/// The line of the rule with this id; 1 where it has none.
fn line_of(source: &str, id: Option<&str>) -> usize {
    let place = id.and_then(|id| source.find(&format!("@id(\"{id}\")")));
    line_at(source, place.unwrap_or(0))
}

fn line_at(source: &str, offset: usize) -> usize {
    source.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
