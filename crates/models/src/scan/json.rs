//! Settings in JSON: their templates, and names of programs that a library would load.

use serde_json::Value;

use super::jinja;
use super::kind::Scanner;
use super::refusal::{Bad, Why, shown};
use super::source::Source;

/// Looks at settings; no where it is not JSON.
pub(crate) fn scan(scanner: &mut Scanner, bytes: &[u8], name: &str, place: &str) -> Result<bool, Bad> {
    if bytes.len() > MAX_PARSED && !SETTINGS.contains(&name) {
        // A vocabulary or a forest: nothing in one is executed, whatever it says.
        return Ok(true);
    }
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) if name.ends_with(".json") => {
            return Err(Bad::malformed(format!("it is no JSON: line {}, column {}", error.line(), error.column())));
        }
        Err(_) => return Ok(false),
    };
    look(scanner, &value, place, 0);
    Ok(true)
}

fn look(scanner: &mut Scanner, value: &Value, place: &str, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "chat_template" | "chat_templates" | "template" => {
                        templates(scanner, value, &format!("{place} › {key}"))
                    }
                    "auto_map" | "custom_pipelines" if !value.is_null() => {
                        let what = format!("`{}` names programs that a library loads with the model", shown(key));
                        scanner.refuse(Bad::new(Why::Code, what), place);
                    }
                    _ => {}
                }
                look(scanner, value, place, depth + 1);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| look(scanner, item, place, depth + 1)),
        _ => {}
    }
}

/// A template, or several by name.
fn templates(scanner: &mut Scanner, value: &Value, place: &str) {
    match value {
        Value::String(text) => {
            if let Err(bad) = jinja::check(text) {
                scanner.refuse(bad, place);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| templates(scanner, item, place)),
        // `{"name": …, "template": …}` is looked into by its key.
        Value::Object(fields) => {
            for (key, value) in
                fields.iter().filter(|(key, value)| value.is_string() && *key != "name" && *key != "template")
            {
                templates(scanner, value, &format!("{place} › {key}"));
            }
        }
        _ => {}
    }
}

/// A file that is one template.
pub(crate) fn template_file(source: &Source) -> Result<(), Bad> {
    let bytes = source.whole(MAX_TEMPLATE)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Bad::malformed("a template is not UTF-8"))?;
    jinja::check(text)
}

/// Files whose fields are settings, however long they are.
const SETTINGS: &[&str] = &["tokenizer_config.json", "config.json", "chat_template.json", "processor_config.json"];
const MAX_PARSED: usize = 64 << 20;
const MAX_DEPTH: usize = 24;
const MAX_TEMPLATE: u64 = 1 << 20;
