//! Rules in the JSON form of role-based access lists, made into Cedar: `{"role": …, "permissions": […], "resources": […]}`.
//!
//! A role is given what its rules list and nothing else: beside each `permit` stands a `forbid` for the rest. What is not
//! understood is an error with its place; nothing is dropped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::SCHEMA_VERSION;
use crate::ask::Ask;
use crate::case::{Answer, Case};
use crate::error::PolicyError;
use crate::folder::{MANIFEST, Manifest, PolicyFiles};
use crate::layer::MAX_POLICY_BYTES;

/// One rule as it comes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    role: String,
    permissions: Vec<String>,
    #[serde(default)]
    resources: Vec<String>,
}

/// A file is one rule or a list of them.
enum Form {
    One(Listed),
    Many(Vec<Listed>),
}

#[derive(Serialize)]
struct CaseFile {
    case: Vec<Case>,
}

/// What a role is given.
#[derive(Debug, Default)]
struct Given {
    runs: bool,
    models: Vec<String>,
    datasets: Vec<String>,
}

/// What permissions there are, for those who wrote another one.
const PERMISSIONS: &str = "`task:run`, `inference:execute` and `data:read:DATASET`";

/// Makes a policy folder of a file of rules.
///
/// # Errors
/// [`PolicyError::Content`] with the place of what is not understood, [`PolicyError::TooLong`].
pub fn import(file: &str, source: &str, name: &str) -> Result<PolicyFiles, PolicyError> {
    if source.len() > MAX_POLICY_BYTES {
        return Err(PolicyError::TooLong { file: file.to_owned(), bytes: source.len(), most: MAX_POLICY_BYTES });
    }
    let wrong = |line, problem| PolicyError::Content { file: file.to_owned(), line, problem };
    // First as any JSON: what is not JSON at all is told with its line.
    let value: serde_json::Value =
        serde_json::from_str(source).map_err(|error| wrong(error.line(), error.to_string()))?;
    let listed = match &value {
        serde_json::Value::Object(_) => serde_json::from_str(source).map(Form::One),
        _ => serde_json::from_str(source).map(Form::Many),
    };
    let listed = match listed.map_err(|error| wrong(error.line(), error.to_string()))? {
        Form::One(one) => vec![one],
        Form::Many(many) => many,
    };
    let mut roles: BTreeMap<String, Given> = BTreeMap::new();
    for (number, Listed { role, permissions, resources }) in listed.iter().enumerate() {
        let fault = |place: &str, word: &str, problem: String| {
            let line = line_of(source, word);
            Err(wrong(line, format!("rule {}, {place} `{}`: {problem}", number + 1, word.escape_debug())))
        };
        if !is_name(role) {
            return fault("role", role, "it is no name of a role".to_owned());
        }
        let given = roles.entry(role.clone()).or_default();
        let mut infers = false;
        for permission in permissions {
            match permission.split_once(':') {
                Some(("task", "run")) => given.runs = true,
                Some(("inference", "execute")) => infers = true,
                Some(("data", rest)) => match rest.strip_prefix("read:").filter(|dataset| is_name(dataset)) {
                    Some(dataset) => given.datasets.push(dataset.to_owned()),
                    None => return fault("permission", permission, format!("there are {PERMISSIONS}")),
                },
                _ => return fault("permission", permission, format!("there are {PERMISSIONS}")),
            }
        }
        for resource in resources {
            if !resource.starts_with("model/") || !is_name(resource) {
                return fault("resource", resource, "a resource is a model, as `model/v1/NAME`".to_owned());
            }
            if !infers {
                return fault("resource", resource, "no permission of this rule is about models".to_owned());
            }
            given.models.push(resource.clone());
        }
        if infers && resources.is_empty() {
            return fault("permission", "inference:execute", "the rule names no model in `resources`".to_owned());
        }
    }
    if roles.is_empty() {
        return Err(wrong(1, "there is no rule in it".to_owned()));
    }
    let (mut rules, mut cases) = (String::new(), Vec::new());
    for (role, given) in &mut roles {
        given.models.sort();
        given.models.dedup();
        given.datasets.sort();
        given.datasets.dedup();
        write_role(role, given, &mut rules, &mut cases);
    }
    let manifest = Manifest {
        name: name.to_owned(),
        version: 1,
        schema: SCHEMA_VERSION,
        description: format!("Imported from {} rules by role.", listed.len()),
    };
    Ok(PolicyFiles::from([
        (MANIFEST.to_owned(), toml::to_string(&manifest).unwrap_or_default()),
        (format!("{name}.cedar"), rules),
        (format!("{name}.test.toml"), toml::to_string(&CaseFile { case: cases }).unwrap_or_default()),
    ]))
}

fn write_role(role: &str, given: &Given, rules: &mut String, cases: &mut Vec<Case>) {
    let things = [("useModel", "Model", "infers", &given.models), ("readDataset", "Dataset", "reads", &given.datasets)];
    for (action, kind, verb, names) in things {
        let list = names.join(", ");
        let allowed: Vec<_> = names.iter().map(|name| format!("{kind}::\"{name}\"")).collect();
        if !names.is_empty() {
            rules.push_str(&format!(
                "@id(\"{role}-{verb}\")\n@reason(\"{role} is given {list}\")\n\
                 @remedy(\"hold the role {role}, and use {list}\")\n\
                 permit (principal in Role::\"{role}\", action == Action::\"{action}\", resource is {kind})\n\
                 when {{ [{}].contains(resource) }};\n\n",
                allowed.join(", ")
            ));
        }
        let (reason, rest) = match names.is_empty() {
            true => ("nothing of this kind".to_owned(), String::new()),
            false => {
                (format!("{list} and no other"), format!("\nunless {{ [{}].contains(resource) }}", allowed.join(", ")))
            }
        };
        rules.push_str(&format!(
            "@id(\"{role}-{verb}-listed-only\")\n@reason(\"{role} is given {reason}\")\n\
             @remedy(\"ask whoever writes the policy to list it\")\n\
             forbid (principal in Role::\"{role}\", action == Action::\"{action}\", resource is {kind}){rest};\n\n"
        ));
        for name in names {
            cases.push(case(role, action, name, Answer::Allow, format!("{role}-{verb}")));
        }
        cases.push(case(role, action, "one-that-is-not-listed", Answer::Deny, format!("{role}-{verb}-listed-only")));
    }
    if given.runs {
        rules.push_str(&format!(
            "@id(\"{role}-runs\")\n@reason(\"{role} runs tasks\")\n@remedy(\"hold the role {role}\")\n\
             permit (principal in Role::\"{role}\", action == Action::\"run\", resource is Task);\n\n"
        ));
        cases.push(case(role, "run", "task", Answer::Allow, format!("{role}-runs")));
    }
}

fn case(role: &str, action: &'static str, resource: &str, expect: Answer, rule: String) -> Case {
    let ask = Ask {
        principal: "somebody".to_owned(),
        local: true,
        roles: vec![role.to_owned()],
        user: Default::default(),
        action: action.into(),
        resource: resource.to_owned(),
        attributes: Default::default(),
        context: Default::default(),
    };
    let name = format!("{role}: {action} {resource}");
    Case { name, ask, expect, rule: Some(rule), code: None, obligations: None }
}

/// What needs no escaping anywhere.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@:".contains(&byte);
    !text.is_empty() && text.len() <= 256 && text.bytes().all(plain)
}

/// The line on which a text stands; 1 where it is written with escapes.
fn line_of(source: &str, text: &str) -> usize {
    let place = source.find(&format!("\"{text}\"")).unwrap_or(0);
    source.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
