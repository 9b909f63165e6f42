//! Rules from what was done: the narrowest that permit the recorded history. A human reads them before they are installed.
//!
//! For each principal, purpose and role there is one rule for each action; what it names is what was seen: these models and
//! datasets, these profiles, these facts. An action that was never seen is forbidden.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::ask::{Ask, Attributes, Value};
use crate::case::{Answer, Case};
use crate::facts::Facts;
use crate::folder::{MANIFEST, Manifest, PolicyFiles};
use crate::{Action, Engine, SCHEMA_VERSION};

/// Most cases that are written down for one rule.
const MAX_CASES: usize = 16;
/// Actions that every task could ask for, and that are forbidden where nobody did.
const FORBIDDEN_UNSEEN: &[(&str, &str)] =
    &[("useModel", "model"), ("readDataset", "dataset"), ("streamLive", "live stream")];

#[derive(Serialize)]
struct CaseFile {
    case: Vec<Case>,
}

/// A policy folder that permits what `history` did and `engine` allows, and as little else as rules can say.
pub fn learn(engine: &Engine, history: &[Facts], name: &str) -> PolicyFiles {
    let mut seen: BTreeMap<(String, String, String, String), BTreeSet<Ask>> = BTreeMap::new();
    for ask in history.iter().flat_map(|facts| engine.questions(facts)) {
        let (mut ask, given) = (timeless(ask.clone()), ask);
        // Columns are recorded only where a policy decides on them.
        let whole = ask.action == "readField" && ask.resource.ends_with("/*");
        if whole || !engine.answer(given).is_ok_and(|answer| answer.is_ok()) || ask.complete().is_err() {
            continue;
        }
        if resource_type(&ask) == "Task" {
            // Each task is another one: its id is nobody's habit.
            "any".clone_into(&mut ask.resource);
        }
        let (purpose, role) = (ask.word("purpose").to_owned(), ask.word("role").to_owned());
        seen.entry((ask.action.to_string(), ask.principal.clone(), purpose, role)).or_default().insert(ask);
    }
    let mut rules = format!(
        "// Learnt from {} recorded tasks. Read it before you install it: it permits what was done, and nobody has said yet\n\
         // that what was done was right.\n",
        history.len()
    );
    let mut cases = Vec::new();
    for (number, ((action, principal, ..), asks)) in seen.iter().enumerate() {
        let asks: Vec<_> = asks.iter().collect();
        let id = format!("learnt-{action}-{}", number + 1);
        rules.push_str(&rule(&id, &asks));
        cases.extend(asks.iter().take(MAX_CASES).enumerate().map(|(place, ask)| Case {
            name: format!("{id}: {principal} as recorded, {}", place + 1),
            ask: (*ask).clone(),
            expect: Answer::Allow,
            rule: Some(id.clone()),
            code: None,
            obligations: None,
        }));
        if let Some(ask) = asks.first() {
            let stranger = format!("{principal}-another");
            let mut ask = (*ask).clone();
            ask.principal.clone_from(&stranger);
            if ask.attributes.contains_key("owner") {
                ask.attributes.insert("owner".into(), Value::user(&stranger));
            }
            let name = format!("{id}: somebody else");
            cases.push(Case { name, ask, expect: Answer::Deny, rule: None, code: None, obligations: None });
        }
    }
    for (action, thing) in FORBIDDEN_UNSEEN {
        if !seen.keys().any(|(seen, ..)| seen == action) {
            rules.push_str(&format!(
                "\n@id(\"learnt-{action}-never\")\n@reason(\"no recorded task had a {thing}\")\n\
                 @remedy(\"ask whoever writes the policy to let it in\")\n\
                 forbid (principal, action == Action::\"{action}\", resource);\n"
            ));
        }
    }
    let manifest = Manifest {
        name: name.to_owned(),
        version: 1,
        schema: SCHEMA_VERSION,
        description: format!("Learnt from {} recorded tasks.", history.len()),
    };
    PolicyFiles::from([
        (MANIFEST.to_owned(), toml::to_string(&manifest).unwrap_or_default()),
        (format!("{name}.cedar"), rules),
        (format!("{name}.test.toml"), toml::to_string(&CaseFile { case: cases }).unwrap_or_default()),
    ])
}

/// The question without its time.
fn timeless(mut ask: Ask) -> Ask {
    ask.context.remove("situation");
    ask
}

/// One rule that permits these, which are alike in action, principal, purpose and role.
fn rule(id: &str, asks: &[&Ask]) -> String {
    let Some(first) = asks.first() else { return String::new() };
    let kind = resource_type(first);
    let names: BTreeSet<&str> = asks.iter().map(|ask| ask.resource.as_str()).collect();
    let named = kind != "Task";
    let mut conditions = Vec::new();
    let scope = match (named, names.len()) {
        (true, 1) => format!("resource == {kind}::{}", text(&first.resource)),
        (true, _) => {
            let names: Vec<_> = names.iter().map(|name| format!("{kind}::{}", text(name))).collect();
            conditions.push(format!("[{}].contains(resource)", names.join(", ")));
            format!("resource is {kind}")
        }
        (false, _) => format!("resource is {kind}"),
    };
    if asks.iter().all(|ask| ask.local) {
        conditions.push("principal.local".to_owned());
    }
    let of = |ask: &Ask, part: &str| -> Attributes {
        if part == "resource" { ask.attributes.clone() } else { ask.context.clone() }
    };
    for part in ["resource", "context"] {
        let mut values: BTreeMap<String, BTreeSet<Value>> = BTreeMap::new();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (name, value) in asks.iter().flat_map(|ask| of(ask, part)) {
            *counts.entry(name.to_string()).or_default() += 1;
            values.entry(name.to_string()).or_default().insert(value);
        }
        for (name, values) in values {
            // What the name of the resource says already, and what was not told of each.
            if (named && name == "name") || counts.get(&name) != Some(&asks.len()) {
                continue;
            }
            let of = format!("{part}.{name}");
            let optional = name == "version";
            let condition = if optional { versions(&of, &values) } else { condition(&of, &values, &first.principal) };
            conditions
                .extend(condition.map(|said| if optional { format!("resource has {name} && {said}") } else { said }));
        }
    }
    format!(
        "\n@id(\"{id}\")\n@reason(\"as {} recorded questions of {} were\")\n\
         @remedy(\"ask whoever writes the policy to let it in\")\n\
         permit (principal == User::{}, action == Action::{}, {scope})\nwhen {{\n    {}\n}};\n",
        asks.len(),
        first.principal.escape_debug(),
        text(&first.principal),
        text(&first.action),
        conditions.join(" &&\n    ")
    )
}

/// The narrowest that fits all of these values.
fn condition(of: &str, values: &BTreeSet<Value>, principal: &str) -> Option<String> {
    let first = values.first()?;
    Some(match first {
        Value::Flag(flag) if values.len() == 1 => format!("{}{of}", if *flag { "" } else { "!" }),
        Value::Text(_) => one_of(of, values.iter().filter_map(word).map(text).collect()),
        Value::Number(_) => {
            let numbers =
                values.iter().filter_map(|value| if let Value::Number(number) = value { Some(*number) } else { None });
            format!("{of} <= {}", numbers.max()?)
        }
        Value::Texts(_) => {
            let lists =
                values.iter().filter_map(|value| if let Value::Texts(list) = value { Some(list) } else { None });
            let all: BTreeSet<_> = lists.flatten().map(text).collect();
            match all.is_empty() {
                true => format!("{of}.isEmpty()"),
                false => format!("[{}].containsAll({of})", all.into_iter().collect::<Vec<_>>().join(", ")),
            }
        }
        Value::Entity(_) if values.iter().all(|value| *value == Value::user(principal)) => format!("{of} == principal"),
        Value::Flag(_) | Value::Entity(_) | Value::Record(_) => return None,
    })
}

fn versions(of: &str, values: &BTreeSet<Value>) -> Option<String> {
    Some(one_of(of, values.iter().map(ToString::to_string).collect()))
}

fn one_of(of: &str, values: Vec<String>) -> String {
    match values.as_slice() {
        [value] => format!("{of} == {value}"),
        values => format!("[{}].contains({of})", values.join(", ")),
    }
}

fn word(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn text(value: impl AsRef<str>) -> String {
    format!("\"{}\"", value.as_ref().escape_debug())
}

fn resource_type(ask: &Ask) -> &'static str {
    Action::of(&ask.action).map_or("", |action| action.resource.name)
}

#[cfg(test)]
mod tests;
