#![allow(clippy::unwrap_used, dead_code, reason = "tests")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Setting, schema_of};
use crate::{FieldError, NoSettings, Refusal, Use, parse_settings};

/// Read by the derived code, by serde through our reader, and by `serde_json`.
#[derive(Clone, Debug, PartialEq, Deserialize, Setting)]
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
    maybe: Option<u32>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    teams: Vec<Team>,
    #[serde(default = "off")]
    mode: Mode,
    #[serde(default)]
    letter: char,
    #[serde(rename = "use", default)]
    uses: Vec<Mode>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Setting)]
struct Team {
    name: String,
    #[serde(default)]
    inner: Inner,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Setting)]
#[serde(default, rename_all = "camelCase")]
struct Inner {
    first_count: i8,
    r#type: u64,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            first_count: -3,
            r#type: 7,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Setting)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Off,
    VerySlow,
    #[serde(rename = "3rd")]
    Third,
}

fn off() -> Mode {
    Mode::Off
}

/// The same type, as serde reads it.
#[derive(Debug, Deserialize, Setting)]
#[setting(serde)]
struct WithSerde {
    #[serde(default)]
    all: Vec<u8>,
}

fn read<T: Setting>(text: &str) -> Result<T, FieldError> {
    parse_settings(text).map_err(|refusal| match refusal {
        Refusal::InvalidSettings(mut errors) => errors.remove(0),
        Refusal::Denied(why) => panic!("{why}"),
    })
}

const FULL: &str = r#" {"name": "a\u00e9\ud83d\ude00\n\"\/", "small": 255, "signed": -17, "share": 2.5e-1, "on": true,
    "maybe": null, "labels": {"a": "b"}, "mode": "very-slow", "letter": "\u00e9", "use": ["3rd", "off"],
    "teams": [{"name": "x", "ignored": [1, {"y": null}, false], "inner": {"firstCount": -128}}]} "#;

#[test]
fn all_forms_of_settings_are_read() {
    let settings: Settings = read(FULL).unwrap();
    assert_eq!(settings, serde_json::from_str::<Settings>(FULL).unwrap());
    assert_eq!(settings.name, "aé😀\n\"/");
    assert_eq!(settings.uses, [Mode::Third, Mode::Off]);
    assert_eq!(
        settings.teams[0].inner,
        Inner {
            first_count: -128,
            r#type: 7
        }
    );
}

#[test]
fn what_is_missing_has_its_default() {
    let text = r#"{"name": "a", "teams": [{"name": "b"}]}"#;
    let settings: Settings = read(text).unwrap();
    assert_eq!(settings, serde_json::from_str::<Settings>(text).unwrap());
    assert_eq!(settings.teams[0].inner, Inner::default());
    assert_eq!((settings.mode, settings.maybe), (Mode::Off, None));
}

#[test]
fn every_cut_and_every_changed_byte_is_read_as_serde_reads_it() {
    let mut compared = 0;
    let mut compare = |text: &str| {
        let expected = serde_json::from_str::<Settings>(text).ok();
        assert_eq!(read::<Settings>(text).ok(), expected, "{text:?}");
        compared += 1;
    };
    for at in 1..FULL.len() {
        if let Some(cut) = FULL.get(..at) {
            compare(cut);
        }
        for byte in b"{}[]\",:\\0 etn-." {
            let mut changed = FULL.as_bytes().to_vec();
            changed[at] = *byte;
            if let Ok(changed) = String::from_utf8(changed) {
                compare(&changed);
            }
        }
    }
    assert!(compared > 4000);
}

macro_rules! assert_bounds {
    ($($type:ty)*) => {$(
        for number in [
            "0", "-0", "1", "-1", "7", "9", "10", "127", "128", "-128", "-129", "255", "256", "32767", "32768",
            "-32768", "-32769", "65535", "65536", "2147483647", "2147483648", "-2147483648", "-2147483649",
            "4294967295", "4294967296", "9223372036854775807", "9223372036854775808",
            "-9223372036854775808", "-9223372036854775809", "18446744073709551615",
            "18446744073709551616", "99999999999999999999999", "1.0", "1e2", "1.5",
        ] {
            // serde_json takes `-0` for a floating point number.
            let expected = number.parse::<$type>().ok().or((number == "-0").then_some(0));
            assert_eq!(read::<$type>(number).ok(), expected, "{number}");
        }
    )*};
}

#[test]
fn every_integer_type_takes_exactly_its_range() {
    assert_bounds! { u8 u16 u32 u64 usize i8 i16 i32 i64 isize }
}

#[test]
fn a_floating_point_number_must_be_finite() {
    assert_eq!(
        read::<f64>("-1.25e-2").unwrap().to_bits(),
        (-0.0125_f64).to_bits()
    );
    assert_eq!(read::<f32>("3").unwrap().to_bits(), 3_f32.to_bits());
    for text in ["1e999", r#""1""#, "NaN"] {
        assert!(read::<f64>(text).is_err(), "{text}");
    }
    assert!(read::<f32>("1e300").is_err());
}

#[test]
fn an_error_names_the_path_of_the_field() {
    for (text, field, message) in [
        ("{}", "name", "is missing"),
        (r#"{"name": 1}"#, "name", "must be a string, not a number"),
        (r#"{"name": null}"#, "name", "must be a string, not null"),
        (
            r#"{"name": "a", "small": 256}"#,
            "small",
            "must be a whole number from 0 to 255, not 256",
        ),
        (
            r#"{"name": "a", "small": 1.5}"#,
            "small",
            "must be a whole number from 0 to 255, not 1.5",
        ),
        (
            r#"{"name": "a", "signed": "b"}"#,
            "signed",
            "must be a whole number, not a string",
        ),
        (
            r#"{"name": "a", "teams": [{"name": "b", "inner": {"firstCount": -129}}]}"#,
            "teams[0].inner.firstCount",
            "must be a whole number from -128 to 127, not -129",
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
            r#"{"name": "a", "use": ["of"]}"#,
            "use[0]",
            "`of` is not a known value; known: `off`, `very-slow`, `3rd`",
        ),
        (
            r#"{"name": "a", "mode": {"off": null}}"#,
            "mode",
            "must be a string, not an object",
        ),
        (
            r#"{"name": "a", "on": 1}"#,
            "on",
            "must be `true` or `false`, not a number",
        ),
        (
            r#"{"name": "a", "letter": "ab"}"#,
            "letter",
            "must be one character",
        ),
        (
            r#"{"name": "a", "maybe": {}}"#,
            "maybe",
            "must be a whole number, not an object",
        ),
        ("[]", "", "must be an object, not an array"),
        (r#"{"name": "a""#, "", "is not JSON at byte 12"),
        (r#"{"name": "a"} x"#, "", "is not JSON at byte 14"),
    ] {
        let error = read::<Settings>(text).unwrap_err();
        assert_eq!(
            (error.field.as_str(), error.message.as_str()),
            (field, message),
            "{text}"
        );
    }
}

#[test]
fn an_unknown_field_is_named_with_the_known_ones() {
    let error = read::<Settings>(r#"{"nam": "a"}"#).unwrap_err();
    assert_eq!(error.field, "nam");
    let start = "is not a setting of this policy; known: `name`, `small`, ";
    assert!(error.message.starts_with(start), "{}", error.message);
    let error = read::<NoSettings>(r#"{"nam": "a"}"#).unwrap_err();
    assert_eq!(
        (error.field.as_str(), error.message.as_str()),
        ("nam", "is not a setting of this policy")
    );
}

#[test]
fn of_the_same_key_a_map_keeps_the_last_value_and_pairs_keep_all() {
    let text = r#"{"b": 1, "a": 2, "b": 3}"#;
    let map: BTreeMap<String, u8> = read(text).unwrap();
    assert_eq!(
        map.into_iter().collect::<Vec<_>>(),
        [("a".to_owned(), 2), ("b".to_owned(), 3)]
    );
    let pairs: Vec<(String, u8)> = read(text).unwrap();
    assert_eq!(
        pairs.iter().map(|pair| pair.1).collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

#[test]
fn a_type_that_asks_for_serde_is_read_by_it() {
    assert_eq!(read::<WithSerde>(r#"{"all": [1, 2]}"#).unwrap().all, [1, 2]);
    let error = read::<WithSerde>(r#"{"all": [1, 256]}"#).unwrap_err();
    assert_eq!(
        (error.field.as_str(), error.message.as_str()),
        ("all[1]", "must be u8, not 256")
    );
}

/// Types of the same names under each rule.
macro_rules! assert_rule {
    ($rule:literal) => {{
        #[derive(Debug, PartialEq, Deserialize, Setting)]
        #[serde(rename_all = $rule)]
        enum Names {
            One,
            VerySlow,
        }
        #[derive(Debug, PartialEq, Deserialize, Setting)]
        #[serde(rename_all = $rule, deny_unknown_fields)]
        struct Fields {
            one: (),
            very_slow: (),
        }
        let schema: Value = serde_json::from_str(&schema_of::<Names>()).unwrap();
        for (name, expected) in schema["enum"]
            .as_array()
            .unwrap()
            .iter()
            .zip([Names::One, Names::VerySlow])
        {
            assert_eq!(
                serde_json::from_value::<Names>(name.clone()).unwrap(),
                expected
            );
            assert_eq!(read::<Names>(&name.to_string()).unwrap(), expected);
        }
        let schema: Value = serde_json::from_str(&schema_of::<Fields>()).unwrap();
        let fields = schema["properties"].as_object().unwrap().keys();
        let full = Value::Object(fields.map(|name| (name.clone(), Value::Null)).collect());
        serde_json::from_value::<Fields>(full.clone()).unwrap();
        read::<Fields>(&full.to_string()).unwrap();
    }};
}

#[test]
fn rules_for_names_are_those_of_serde() {
    assert_rule!("lowercase");
    assert_rule!("UPPERCASE");
    assert_rule!("PascalCase");
    assert_rule!("camelCase");
    assert_rule!("snake_case");
    assert_rule!("SCREAMING_SNAKE_CASE");
    assert_rule!("kebab-case");
    assert_rule!("SCREAMING-KEBAB-CASE");
}

#[derive(Setting)]
#[setting(rename_all = "camelCase", deny_unknown_fields)]
struct Everything {
    /// Says "what", with a \\ and
    /// a second line.
    the_text: String,
    #[setting(default)]
    with_default: u8,
    #[setting(rename = "else", default = "three")]
    other: i64,
    maybe: Option<bool>,
    list: Vec<Mode>,
    map: BTreeMap<String, f64>,
    pairs: Vec<(String, char)>,
    inner: Inner,
    uses: Vec<Use>,
    anything: (),
}

fn three() -> i64 {
    3
}

#[test]
fn a_schema_says_what_is_read() {
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
                "list": { "type": "array", "items": { "enum": ["off", "very-slow", "3rd"] } },
                "map": { "type": "object", "additionalProperties": { "type": "number" } },
                "pairs": { "type": "object", "additionalProperties": { "type": "string" } },
                "inner": {
                    "type": "object",
                    "properties": {
                        "firstCount": { "type": "integer" },
                        "type": { "type": "integer", "minimum": 0 },
                    },
                    "required": [],
                },
                "uses": { "type": "array", "items": { "enum": ["ImagePull", "Mount"] } },
                "anything": {},
            },
            "required": ["theText", "list", "map", "pairs", "inner", "uses", "anything"],
            "additionalProperties": false,
        })
    );
    let full = json!({
        "theText": "", "list": ["3rd", "very-slow"], "map": {}, "pairs": { "a": "b" }, "inner": {},
        "uses": ["Mount"], "anything": [1],
    });
    let read_full = read::<Everything>(&full.to_string()).ok().unwrap();
    assert_eq!((read_full.other, read_full.with_default), (3, 0));
    // What the schema requires is what must be there.
    for name in schema["required"].as_array().unwrap() {
        let mut lacking = full.clone();
        lacking
            .as_object_mut()
            .unwrap()
            .remove(name.as_str().unwrap());
        let error = read::<Everything>(&lacking.to_string()).err().unwrap();
        assert_eq!(
            (error.field.as_str(), error.message.as_str()),
            (name.as_str().unwrap(), "is missing")
        );
    }
}

#[test]
fn types_without_a_form_of_their_own_have_a_schema_too() {
    assert_eq!(schema_of::<()>(), "{}");
    let expected = r#"{"type":"object","additionalProperties":false}"#;
    assert_eq!(schema_of::<NoSettings>(), expected);
}
