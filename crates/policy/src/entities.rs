//! The entities of a policy: Cedar's JSON form, checked against the schema.

use cedar_policy::{Entities, Schema};
use serde_json::{Value as Json, json};

use crate::actions::{RESOURCES, Shape};
use crate::error::PolicyError;
use crate::store::Store;

/// Reads entities with all their ancestors. What each question brings itself (whether a user is local, whether a model is
/// signed) may be left out, and counts for nothing where it stands.
pub(crate) fn parse_entities(file: &str, text: &str, schema: &Schema) -> Result<Store, PolicyError> {
    let wrong = |problem: String| PolicyError::Entities { file: file.to_owned(), problem };
    let mut entities: Json = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let Some(list) = entities.as_array_mut() else { return Err(wrong("it is no list of entities".to_owned())) };
    list.iter_mut().for_each(fill);
    let entities = Entities::from_json_value(entities, Some(schema)).map_err(|error| wrong(chain(&error)))?;
    let core: &cedar_policy_core::entities::Entities = entities.as_ref();
    Ok(Store::new(core.iter().cloned()))
}

/// Adds what the schema demands and the question brings.
fn fill(entity: &mut Json) {
    let kind = entity["uid"]["type"].as_str().unwrap_or_default().to_owned();
    let id = entity["uid"]["id"].as_str().unwrap_or_default().to_owned();
    let Some(object) = entity.as_object_mut() else { return };
    object.entry("parents").or_insert_with(|| json!([]));
    let Some(attributes) = object.entry("attrs").or_insert_with(|| json!({})).as_object_mut() else { return };
    if kind == "User" {
        attributes.entry("local").or_insert(json!(false));
    }
    let Some(resource) = RESOURCES.iter().find(|resource| resource.name == kind) else { return };
    for (name, shape) in resource.attributes {
        let value = match shape {
            Shape::Flag(value) => json!(value),
            Shape::Number(value) => json!(value),
            Shape::Word(value) => json!(value),
            Shape::Name => json!(id.rsplit('/').next().unwrap_or_default()),
            Shape::Words | Shape::Users => json!([]),
            Shape::Asker | Shape::Model | Shape::MaybeWord | Shape::MaybeNumber | Shape::MaybeWords => continue,
        };
        attributes.entry(*name).or_insert(value);
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
