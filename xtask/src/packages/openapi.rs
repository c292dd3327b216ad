//! Strict schemas, out of what an API server publishes: a field that is not in a schema is refused.

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The strict schema of one kind, out of the `OpenAPI` document of its group.
pub(super) fn schema(document: &Value, kind: &str) -> Result<Value> {
    let schemas = document["components"]["schemas"].as_object();
    let schemas = schemas.context("no schemas")?;
    let is_kind = |schema: &Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        // Options of a deletion, for instance, belong to every group.
        kinds.is_some_and(|kinds| kinds.len() == 1 && kinds[0]["kind"] == kind)
    };
    let name = schemas.iter().find(|(_, schema)| is_kind(schema));
    let (name, _) = name.with_context(|| format!("no schema of {kind}"))?;
    let mut components = document["components"].clone();
    make_strict(&mut components);
    Ok(json!({ "$ref": format!("#/components/schemas/{name}"), "components": components }))
}

/// Refuses unknown fields of every object whose fields are listed, unless they are to be kept.
fn make_strict(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(make_strict);
            let listed = map.get("properties").is_some_and(Value::is_object)
                && map.get("type").is_some_and(|kind| kind == "object");
            let kept = map.get("x-kubernetes-preserve-unknown-fields");
            if listed && kept != Some(&Value::Bool(true)) {
                map.entry("additionalProperties")
                    .or_insert(Value::Bool(false));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(make_strict),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_schema_is_strict_where_fields_are_listed_and_not_where_they_are_kept() {
        let kind = |kind: &str| json!([{ "group": "", "kind": kind, "version": "v1" }]);
        let document = json!({ "components": { "schemas": {
            "a.A": {
                "type": "object",
                "properties": {
                    "map": { "type": "object", "additionalProperties": { "type": "string" } },
                    "any": { "type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": true },
                },
                "x-kubernetes-group-version-kind": kind("A"),
            },
            "a.AList": { "type": "object", "x-kubernetes-group-version-kind": kind("AList") },
        } } });
        let schema = schema(&document, "A").unwrap();
        assert_eq!(schema["$ref"], "#/components/schemas/a.A");
        let strict = &schema["components"]["schemas"]["a.A"];
        assert_eq!(strict["additionalProperties"], false);
        assert_eq!(
            strict["properties"]["map"]["additionalProperties"]["type"],
            "string"
        );
        assert!(
            strict["properties"]["any"]
                .get("additionalProperties")
                .is_none()
        );
        assert!(super::schema(&document, "B").is_err());
    }
}
