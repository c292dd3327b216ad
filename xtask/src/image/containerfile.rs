//! `Containerfile` is written by hand, for those who build with a container engine. It must not make another image.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::config::{ENTRYPOINT, PATH, PORTS, USER, labels};
use super::tools::AUDITABLE;

const CONTAINERFILE: &str = include_str!("../../../Containerfile");
const TOOLCHAIN: &str = include_str!("../../../rust-toolchain.toml");

/// The instructions of the last stage.
fn last_stage() -> Vec<&'static str> {
    CONTAINERFILE
        .rsplit("\nFROM ")
        .next()
        .unwrap()
        .lines()
        .collect()
}

#[test]
fn the_last_stage_sets_what_we_set() {
    let stage = last_stage();
    assert_eq!(stage[0], "scratch");
    for instruction in [
        format!("ENV {PATH}"),
        format!("USER {USER}"),
        format!("EXPOSE {}", PORTS.join(" ")),
        format!("ENTRYPOINT [\"{ENTRYPOINT}\"]"),
    ] {
        assert!(
            stage.contains(&instruction.as_str()),
            "{instruction} in {stage:?}"
        );
    }
    // Set when it is built, as our argument is.
    let mut expected: Vec<_> = labels(Some("$REVISION"))
        .iter()
        .map(|(name, value)| format!("LABEL {name}=\"{value}\""))
        .collect();
    let mut found = stage;
    found.retain(|line| line.starts_with("LABEL "));
    expected.sort();
    found.sort_unstable();
    assert_eq!(found, expected, "correct the labels in Containerfile");
}

#[test]
fn the_first_stage_builds_with_the_same_tools() {
    let (_, channel) = TOOLCHAIN.split_once("channel = \"").unwrap();
    let (rust, _) = channel.split_once('"').unwrap();
    let (auditable, version) = AUDITABLE;
    for words in [
        format!("FROM docker.io/library/rust:{rust}-alpine AS build\n"),
        format!("ENV RUSTUP_TOOLCHAIN={rust}\n"),
        format!("cargo install {auditable} --locked --version {version}\n"),
    ] {
        assert!(CONTAINERFILE.contains(&words), "{words}");
    }
}
