#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::{Map, Number, Value};

use super::{Error, Kind, Reader, from_str};
use crate::Setting;

/// Any JSON.
#[derive(Debug)]
enum Tree {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    String(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Setting for Tree {
    fn schema(_out: &mut String) {}

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(match reader.kind()? {
            Kind::Null => reader.null().map(|()| Tree::Null)?,
            Kind::Bool => Tree::Bool(reader.boolean()?),
            Kind::Number => {
                let number = reader.number()?;
                match (number.parse(), number.parse()) {
                    (Ok(integer), _) => Tree::Integer(integer),
                    (_, Ok(float)) if f64::is_finite(float) => Tree::Float(float),
                    _ => return Err(Error::new("must be a number that fits 64 bits")),
                }
            }
            Kind::String => Tree::String(reader.string()?),
            Kind::Array => Tree::Array(Setting::read(reader)?),
            Kind::Object => Tree::Object(Setting::read(reader)?),
        })
    }
}

impl From<Tree> for Value {
    fn from(tree: Tree) -> Self {
        match tree {
            Tree::Null => Value::Null,
            Tree::Bool(truth) => Value::Bool(truth),
            Tree::Integer(integer) => Number::from_i128(integer).unwrap().into(),
            Tree::Float(float) => Number::from_f64(float).unwrap().into(),
            Tree::String(text) => Value::String(text),
            Tree::Array(elements) => elements.into_iter().map(Value::from).collect(),
            Tree::Object(fields) => {
                let fields = fields.into_iter().map(|(key, value)| (key, value.into()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
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
        let ours = from_str::<Tree>(text).ok().map(Value::from);
        // serde_json keeps `-0` as a float.
        if *text != "-0" {
            assert_eq!(ours, expected, "{text:?}");
        }
        let skipped = from_str::<()>(text).is_ok();
        assert_eq!(skipped, expected.is_some() || *text == "1e999", "{text:?}");
    }
}

#[test]
fn every_cut_and_every_changed_byte_is_read_as_serde_json_reads_it() {
    let text = r#"{"a": [1, -2.5e3, "x\n\u00e9é"], "b": {"c": true, "d": null}, "e": ""}"#;
    let mut compared = 0;
    let mut compare = |text: &str| {
        assert_eq!(
            from_str::<Tree>(text).ok().map(Value::from),
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
    assert!(from_str::<Tree>(&nested(64)).is_ok());
    assert!(from_str::<()>(&nested(64)).is_ok());
    assert!(
        from_str::<Tree>(&nested(65))
            .unwrap_err()
            .message
            .contains("too deeply")
    );
    assert!(from_str::<()>(&nested(1_000_000)).is_err());
}

#[test]
fn an_error_without_a_field_is_about_the_whole() {
    for (text, message) in [
        (r#"["a""#, "is not JSON at byte 4"),
        ("[] x", "is not JSON at byte 3"),
        ("", "is not JSON at byte 0"),
        (r#""\"#, "is not JSON at byte 2"),
        (r#""\ud800\u0041""#, "is not JSON at byte 13"),
    ] {
        let error = from_str::<Tree>(text).err().unwrap();
        let expected = message.to_owned();
        assert_eq!(error.message, expected, "{text}");
    }
}

#[test]
fn a_message_does_not_repeat_a_text_of_any_length() {
    let number = "9".repeat(5_000);
    let error = from_str::<u8>(&number).unwrap_err();
    assert!(error.message.len() < 200, "{}", error.message.len());
    let wide = format!("\"{}\"", "ü".repeat(5_000));
    let error = from_str::<u8>(&wide).unwrap_err();
    assert!(error.message.len() < 200, "{}", error.message.len());
}
