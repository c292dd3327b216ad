#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::read_with_serde;
use crate::FieldError;
use crate::json::Reader;

fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
    let mut reader = Reader::new(text);
    let value = read_with_serde(&mut reader);
    value
        .and_then(|value| reader.end().map(|()| value))
        .map_err(FieldError::from)
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: String,
    #[serde(default)]
    small: u8,
    #[serde(default)]
    signed: i64,
    #[serde(default)]
    share: f64,
    #[serde(default)]
    on: bool,
    #[serde(default)]
    maybe: Option<u32>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    teams: Vec<Team>,
    #[serde(default)]
    modes: Vec<Mode>,
    #[serde(default)]
    pair: (u8, u8),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Team {
    name: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Off,
    After(u32),
    Between(u8, u8),
    Window { from: u8, to: u8 },
}

#[test]
fn all_forms_of_settings_are_read() {
    let text = r#" {"name": "a\u00e9\ud83d\ude00\n\"\/", "small": 255, "signed": -7, "share": 2.5e-1, "on": true,
        "maybe": null, "labels": {"a": "b"}, "teams": [{"name": "x", "ignored": [1, {"y": null}, false]}],
        "modes": ["off", {"after": 3}, {"between": [1, 2]}, {"window": {"from": 1, "to": 2}}],
        "pair": [3, 4]} "#;
    let settings: Settings = from_str(text).unwrap();
    assert_eq!(settings, serde_json::from_str::<Settings>(text).unwrap());
    assert_eq!(settings.name, "aé😀\n\"/");
    assert_eq!(settings.modes.len(), 4);
}

#[test]
fn an_error_names_the_path_of_the_field() {
    for (text, field, message) in [
        ("{}", "name", "is missing"),
        (r#"{"name": 1}"#, "name", "must be a string, not a number"),
        (
            r#"{"name": "a", "small": 256}"#,
            "small",
            "must be u8, not 256",
        ),
        (
            r#"{"name": "a", "small": 1.5}"#,
            "small",
            "must be a whole number of at most 64 bits",
        ),
        (
            r#"{"name": "a", "labels": {"b": []}}"#,
            "labels.b",
            "must be a string, not an array",
        ),
        (
            r#"{"name": "a", "teams": [{"name": "b"}, {}]}"#,
            "teams[1].name",
            "is missing",
        ),
        (
            r#"{"name": "a", "teams": ["b"]}"#,
            "teams[0]",
            "must be an object, not a string",
        ),
        (r#"{"name": "a", "name": "b"}"#, "name", "is given twice"),
        (
            r#"{"name": "a", "modes": ["of"]}"#,
            "modes[0]",
            "`of` is not a known value; known: `off`, `after`, `between`, `window`",
        ),
        (
            r#"{"name": "a", "modes": [{"after": "b"}]}"#,
            "modes[0].after",
            "must be a whole number, not a string",
        ),
        (
            r#"{"name": "a", "modes": [{"window": {"from": true}}]}"#,
            "modes[0].window.from",
            "must be a whole number, not a boolean",
        ),
        (
            r#"{"name": "a", "modes": [{"between": [1]}]}"#,
            "modes[0].between",
            "invalid length 1, expected tuple variant Mode::Between with 2 elements",
        ),
        (
            r#"{"name": "a", "pair": [1, 2, 3]}"#,
            "pair",
            "has more elements than expected",
        ),
        ("[]", "", "must be an object, not an array"),
        (r#"{"name": "a""#, "", "is not JSON at byte 12"),
        (r#"{"name": "a"} x"#, "", "is not JSON at byte 14"),
    ] {
        let error = from_str::<Settings>(text).unwrap_err();
        assert_eq!(
            (error.field.as_str(), error.message.as_str()),
            (field, message),
            "{text}"
        );
    }
}

#[test]
fn an_unknown_field_is_named_with_the_known_ones() {
    let error = from_str::<Settings>(r#"{"nam": "a"}"#).unwrap_err();
    assert_eq!(error.field, "nam");
    assert!(
        error
            .message
            .starts_with("is not a setting of this policy; known: `name`, `small`, ")
    );
}

/// Values of every kind; `json` tests the grammar.
const TEXTS: &[&str] = &[
    "null",
    "true",
    "0",
    "-7",
    "-1.25e-2",
    "18446744073709551615",
    "18446744073709551616",
    "1e999",
    r#""a\u0041""#,
    "[]",
    "[1,[2],{}]",
    "[1",
    "{}",
    r#"{"a":{"b":[1,2,{"c":null}]}}"#,
    r#"{"a":1,}"#,
    r#"{"a":1,"a":2}"#,
];

#[test]
fn a_type_that_takes_anything_gets_what_serde_json_gives_it() {
    for text in TEXTS {
        let expected = serde_json::from_str::<Value>(text).ok();
        // serde_json keeps larger numbers as floating point.
        let expected = expected.filter(|_| *text != "18446744073709551616");
        assert_eq!(from_str::<Value>(text).ok(), expected, "{text:?}");
    }
}

#[test]
fn what_is_ignored_must_be_json() {
    assert!(from_str::<serde::de::IgnoredAny>(r#"{"a": [1, {"b": null}]}"#).is_ok());
    assert!(from_str::<serde::de::IgnoredAny>(r#"{"a": [1, {"b": nul}]}"#).is_err());
}
