//! The SDK's reader of settings against `serde_json`: what one takes the other takes, with the same value.
#![no_main]
#![allow(missing_docs, reason = "a program")]

use std::collections::BTreeMap;

use ecr_policy::Setting;
use libfuzzer_sys::fuzz_target;
use policy_fuzz::assert_one_line;

#[derive(Debug, PartialEq, serde::Deserialize, Setting)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: String,
    #[serde(default)]
    count: u32,
    #[serde(default)]
    offset: Option<i64>,
    #[serde(default)]
    on: bool,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    teams: Vec<Team>,
}

#[derive(Debug, PartialEq, serde::Deserialize, Setting)]
struct Team {
    id: u8,
}

fuzz_target!(|text: &str| {
    let ours = ecr_policy::parse_settings::<Settings>(text);
    let theirs = serde_json::from_str::<Settings>(text);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs),
        (Err(refusal), _) => {
            if let ecr_policy::Refusal::InvalidSettings(errors) = &refusal {
                assert!(!errors.is_empty());
                for error in errors {
                    assert_one_line(&error.message.replace(|c: char| c.is_control(), " "));
                }
            }
        }
        // serde_json takes -0 for a floating point number; it is a whole one.
        (Ok(_), Err(_)) if text.contains("-0") => {}
        (Ok(ours), Err(error)) => panic!("only we take it: {ours:?}: {error}"),
    }
});
