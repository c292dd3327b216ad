#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::from_str;

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

/// Texts at the edges of the grammar; both readers must agree on which are JSON and what they mean.
const TEXTS: &[&str] = &[
    "",
    " ",
    "null",
    "nul",
    "nullx",
    "true",
    "false",
    "tru",
    "0",
    "-0",
    "00",
    "01",
    "-",
    "1.",
    ".5",
    "1.5",
    "1e3",
    "1E+3",
    "1e",
    "-1.25e-2",
    "18446744073709551615",
    "-9223372036854775808",
    "1e999",
    "+1",
    "NaN",
    r#""""#,
    r#""a"#,
    r#""\"#,
    r#""\x""#,
    r#""\u12""#,
    r#""\ud800""#,
    r#""\ud800\u0041""#,
    r#""\udc00""#,
    r#""\ud83d\ude00""#,
    "\"\u{1}\"",
    "\"\u{7f}é\"",
    r#""\b\f\n\r\t\/\\""#,
    "[]",
    "[",
    "]",
    "[1]",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1,2]",
    "{}",
    "{",
    "}",
    r#"{"a":1}"#,
    r#"{"a":1,}"#,
    r#"{"a" 1}"#,
    r"{a:1}",
    r"{1:1}",
    r#"{"a":{"b":[1,2,{"c":null}]}}"#,
    r#"{"a":1}{"#,
    "[[[[]]]]",
    "[]]",
    "\u{feff}{}",
    "\u{a0}1",
    "é",
    "[é]",
];

#[test]
fn every_text_means_what_serde_json_says() {
    for text in TEXTS {
        let expected = serde_json::from_str::<Value>(text).ok();
        let ours = from_str::<Value>(text).ok();
        // serde_json keeps `-0` as a float.
        if *text != "-0" {
            assert_eq!(ours, expected, "{text:?}");
        }
        let skipped = from_str::<serde::de::IgnoredAny>(text).is_ok();
        assert_eq!(skipped, expected.is_some() || *text == "1e999", "{text:?}");
    }
}

#[test]
fn every_cut_and_every_changed_byte_is_read_as_serde_json_reads_it() {
    let text = r#"{"a": [1, -2.5e3, "x\n\u00e9é"], "b": {"c": true, "d": null}, "e": ""}"#;
    let mut compared = 0;
    let mut compare = |text: &str| {
        assert_eq!(
            from_str::<Value>(text).ok(),
            serde_json::from_str(text).ok(),
            "{text:?}"
        );
        compared += 1;
    };
    for at in 0..text.len() {
        if let Some(cut) = text.get(..at) {
            compare(cut);
        }
        for byte in b"{}[]\",:\\0 etn-." {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = *byte;
            if let Ok(changed) = String::from_utf8(changed) {
                compare(&changed);
            }
        }
    }
    assert!(compared > 1000);
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(from_str::<Value>(&nested(64)).is_ok());
    assert!(from_str::<serde::de::IgnoredAny>(&nested(64)).is_ok());
    assert!(
        from_str::<Value>(&nested(65))
            .unwrap_err()
            .message
            .contains("too deeply")
    );
    assert!(from_str::<serde::de::IgnoredAny>(&nested(1_000_000)).is_err());
}
