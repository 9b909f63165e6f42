//! Policy files laid over the default policy: parsed, and checked against the schema.

use std::collections::HashSet;
use std::str::FromStr;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{Effect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use cedar_policy_core::ast;
use serde::Serialize;

use crate::compiled::RULES;
use crate::error::PolicyError;
use crate::obligation::Obligations;
use crate::rules::SCHEMA;
use crate::ruleset::Ready;

/// The longest file of rules that is read: some thousands of rules.
pub const MAX_POLICY_BYTES: usize = 4 << 20;

/// Most rules that one denial cites: more would help nobody.
pub(crate) const MAX_RULES_CITED: usize = 16;

/// One rule of a file, for `policy check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleInfo {
    /// Its id.
    pub id: String,
    /// Whether it permits; else it forbids.
    pub permits: bool,
    /// Why it is there.
    pub reason: String,
    /// What would have to change for a request that it forbids.
    pub remedy: String,
    /// What it demands of what it permits.
    #[serde(skip_serializing_if = "Obligations::is_none")]
    pub obligations: Obligations,
}

/// Checks one policy file as a layer over the default policy.
///
/// # Errors
/// Every fault that it has, each a [`PolicyError`] with its line.
pub fn check_policy(file: &str, source: &str) -> Result<Vec<RuleInfo>, Vec<PolicyError>> {
    let rules = parse(file, source, &[])?;
    // Only a schema that was read once makes this fail; it is read to check the rules.
    let schema = schema().map_err(|error| vec![error])?;
    let errors = schema_errors(file, source, &rules, &schema);
    match errors.is_empty() {
        true => Ok(rules.iter().map(RuleInfo::of).collect()),
        false => Err(errors),
    }
}

impl RuleInfo {
    pub(crate) fn of(rule: &Ready) -> Self {
        Self {
            id: rule.id.clone(),
            permits: rule.permits,
            reason: rule.reason.clone(),
            remedy: rule.remedy.clone(),
            obligations: rule.obligations.clone(),
        }
    }
}

/// The schema, ready for use.
pub(crate) fn schema() -> Result<Schema, PolicyError> {
    match Schema::from_cedarschema_str(SCHEMA) {
        Ok((schema, _)) => Ok(schema),
        Err(error) => Err(PolicyError::Schema {
            file: "hotcell.cedarschema".to_owned(),
            line: 1,
            problem: format!("our own schema cannot be read: {error}"),
        }),
    }
}

/// Parses the rules of a file, of which the ids must differ from those of `earlier` and the default policy. Whether
/// they fit the schema is for [`schema_errors`] to say. The list of errors is never empty.
pub(crate) fn parse(file: &str, source: &str, earlier: &[Ready]) -> Result<Vec<Ready>, Vec<PolicyError>> {
    if source.len() > MAX_POLICY_BYTES {
        let (file, bytes) = (file.to_owned(), source.len());
        return Err(vec![PolicyError::TooLong { file, bytes, most: MAX_POLICY_BYTES }]);
    }
    let parsed = PolicySet::from_str(source).map_err(|errors| syntax_errors(file, source, &errors))?;
    let mut rules: Vec<Ready> = Vec::new();
    let mut errors = Vec::new();
    if let Some(template) = parsed.templates().next() {
        let problem = "a template is not a rule: it has a slot that nobody fills".to_owned();
        let line = line_of(source, template.annotation("id"));
        errors.push(PolicyError::Syntax { file: file.to_owned(), line, problem });
    }
    let mut taken: HashSet<String> = earlier.iter().map(|rule| rule.id.clone()).collect();
    taken.extend(RULES.iter().map(|rule| rule.id.to_owned()));
    for policy in parsed.policies() {
        match check_rule(file, source, policy) {
            Ok(rule) if !taken.insert(rule.id.clone()) => {
                let line = line_of(source, Some(&rule.id));
                errors.push(PolicyError::Duplicate { file: file.to_owned(), line, id: rule.id });
            }
            Ok(rule) => rules.push(rule),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(rules)
    } else {
        errors.extend(unready_errors(file, source, &parsed));
        Err(errors)
    }
}

/// The rules of the default policy from their text, for those who want to look into them. Tests hold them sound.
pub(crate) fn parse_default(file: &str, source: &str) -> Vec<Ready> {
    let parsed = PolicySet::from_str(source).unwrap_or_default();
    let named = parsed.policies().map(|policy| {
        let note = |name: &str| policy.annotation(name).unwrap_or(file).to_owned();
        let (id, reason, remedy) = (note("id"), note("reason"), note("remedy"));
        let policy: ast::Policy = policy.new_id(PolicyId::new(&id)).as_ref().clone();
        Ready { reason, remedy, ..Ready::new(policy) }
    });
    named.collect()
}

fn check_rule(file: &str, source: &str, policy: &Policy) -> Result<Ready, PolicyError> {
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
    let mut obligations = Obligations::none();
    for (name, value) in policy.annotations().filter(|(name, _)| !["id", "reason", "remedy"].contains(name)) {
        let wrong = |problem: String| {
            let (file, annotation) = (file.to_owned(), name.to_owned());
            PolicyError::UnknownAnnotation { file, line, annotation, problem }
        };
        match obligations.annotate(name, value) {
            Ok(()) if policy.effect() == Effect::Permit => {}
            Ok(()) => return Err(wrong("an obligation stands on a rule that permits; this one forbids".to_owned())),
            Err(Some(problem)) => return Err(wrong(problem)),
            Err(None) => return Err(wrong("nobody knows this annotation".to_owned())),
        }
    }
    let policy: ast::Policy = policy.new_id(PolicyId::new(&id)).as_ref().clone();
    Ok(Ready { reason, remedy, obligations, ..Ready::new(policy) })
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

/// What the schema says to rules that could not all be made ready.
fn unready_errors(file: &str, source: &str, parsed: &PolicySet) -> Vec<PolicyError> {
    match schema() {
        Ok(schema) => validate(file, source, parsed, &schema),
        Err(error) => vec![error],
    }
}

/// Where rules do not fit the schema.
pub(crate) fn schema_errors(file: &str, source: &str, rules: &[Ready], schema: &Schema) -> Vec<PolicyError> {
    match PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone().into())) {
        Ok(set) => validate(file, source, &set, schema),
        Err(error) => vec![PolicyError::Schema { file: file.to_owned(), line: 1, problem: error.to_string() }],
    }
}

fn validate(file: &str, source: &str, rules: &PolicySet, schema: &Schema) -> Vec<PolicyError> {
    let result = Validator::new(schema.clone()).validate(rules, ValidationMode::Strict);
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
