//! JSON schemas of settings, so that tools and users know what a policy takes without reading its code.

use std::collections::BTreeMap;

use crate::policy::NoSettings;

pub use ecr_policy_macros::Schema;

/// A type of which the JSON schema is known. Derive it beside `serde::Deserialize`; doc comments become
/// descriptions.
///
/// ```
/// use ecr_policy::Schema;
///
/// #[derive(serde::Deserialize, Schema)]
/// #[serde(deny_unknown_fields)]
/// struct Settings {
///     /// The team.
///     prefix: String,
///     #[serde(default)]
///     namespaces: Option<Vec<String>>,
/// }
///
/// let schema = ecr_policy::schema::schema_of::<Settings>();
/// assert!(schema.contains(r#""prefix":{"type":"string","description":"The team."}"#));
/// assert!(schema.contains(r#""required":["prefix"],"additionalProperties":false"#));
/// ```
pub trait Schema {
    /// Whether serde takes a missing field of this type.
    const OPTIONAL: bool = false;

    /// Writes the members of the schema, without the braces around them.
    fn members(out: &mut String);
}

/// The schema of a type as JSON text.
pub fn schema_of<T: Schema>() -> String {
    let mut out = String::from("{");
    T::members(&mut out);
    out.push('}');
    out
}

macro_rules! schemas {
    ($($members:literal: $($type:ty),*;)*) => {
        $($(
            impl Schema for $type {
                fn members(out: &mut String) {
                    out.push_str($members);
                }
            }
        )*)*
    };
}

schemas! {
    r#""type":"string""#: String, char;
    r#""type":"boolean""#: bool;
    r#""type":"integer","minimum":0"#: u8, u16, u32, u64, usize;
    r#""type":"integer""#: i8, i16, i32, i64, isize;
    r#""type":"number""#: f32, f64;
    r#""type":"object","additionalProperties":false"#: NoSettings;
    "": ();
    r#""enum":["ImagePull","Mount"]"#: crate::Use;
}

impl<T: Schema> Schema for Option<T> {
    const OPTIONAL: bool = true;

    fn members(out: &mut String) {
        T::members(out);
    }
}

impl<T: Schema> Schema for Vec<T> {
    fn members(out: &mut String) {
        out.push_str(r#""type":"array","items":{"#);
        T::members(out);
        out.push('}');
    }
}

impl<T: Schema> Schema for BTreeMap<String, T> {
    fn members(out: &mut String) {
        out.push_str(r#""type":"object","additionalProperties":{"#);
        T::members(out);
        out.push('}');
    }
}

/// Writes one property. For the derive macro.
#[doc(hidden)]
pub fn property<T: Schema>(out: &mut String, head: &str, description: &str) {
    out.push_str(head);
    T::members(out);
    if !description.is_empty() {
        if !out.ends_with('{') {
            out.push(',');
        }
        out.push_str(description);
    }
    out.push('}');
}

/// Writes the names of those that are not optional. For the derive macro.
#[doc(hidden)]
pub fn required(out: &mut String, names: &[(&str, bool)]) {
    let mut first = true;
    for (name, _) in names.iter().filter(|(_, optional)| !optional) {
        if !first {
            out.push(',');
        }
        first = false;
        out.push_str(name);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, dead_code, reason = "tests")]
    use super::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    #[derive(Deserialize, Schema)]
    #[serde(rename_all = "kebab-case")]
    enum Mode {
        Fast,
        VerySlow,
        #[serde(rename = "3rd")]
        Third,
    }

    #[derive(Deserialize, Schema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Everything {
        /// Says "what", with a \\ and
        /// a second line.
        the_text: String,
        #[serde(default)]
        with_default: u8,
        #[serde(rename = "else", default = "three")]
        other: i64,
        maybe: Option<bool>,
        list: Vec<Mode>,
        map: BTreeMap<String, f64>,
        inner: Inner,
    }

    #[derive(Deserialize, Schema, Default)]
    #[serde(default)]
    struct Inner {
        anything: (),
    }

    fn three() -> i64 {
        3
    }

    #[test]
    fn a_schema_says_what_serde_takes() {
        let schema: Value = serde_json::from_str(&schema_of::<Everything>()).unwrap();
        let text = "Says \"what\", with a \\\\ and a second line.";
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "theText": { "type": "string", "description": text },
                    "withDefault": { "type": "integer", "minimum": 0 },
                    "else": { "type": "integer" },
                    "maybe": { "type": "boolean" },
                    "list": { "type": "array", "items": { "enum": ["fast", "very-slow", "3rd"] } },
                    "map": { "type": "object", "additionalProperties": { "type": "number" } },
                    "inner": { "type": "object", "properties": { "anything": {} }, "required": [] },
                },
                "required": ["theText", "list", "map", "inner"],
                "additionalProperties": false,
            })
        );
        // What the schema requires is what serde requires.
        let full = json!({ "theText": "", "list": ["3rd", "very-slow"], "map": {}, "inner": {} });
        serde_json::from_value::<Everything>(full.clone()).unwrap();
        for name in schema["required"].as_array().unwrap() {
            let mut lacking = full.clone();
            lacking
                .as_object_mut()
                .unwrap()
                .remove(name.as_str().unwrap());
            assert!(
                serde_json::from_value::<Everything>(lacking).is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn types_without_a_form_of_their_own_have_a_schema_too() {
        assert_eq!(schema_of::<()>(), "{}");
        assert_eq!(
            schema_of::<NoSettings>(),
            r#"{"type":"object","additionalProperties":false}"#
        );
    }
}
