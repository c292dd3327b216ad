//! AWS profile files: the `config` and the `credentials` file.
//!
//! The SDK has a parser of its own, which is not used for three reasons: it keeps quotes as a part
//! of the value (`aws_access_key_id="AKIA…"` is found in the field and then no signature matches), it
//! caches what it read for the life of the process, and its loader panics on some values. This one
//! accepts every file that the SDK accepts, and indented keys too.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Which of the two files it is; they name their sections differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// `AWS_CONFIG_FILE`: `[default]` and `[profile NAME]`.
    Config,
    /// `AWS_SHARED_CREDENTIALS_FILE`: `[NAME]`.
    Credentials,
}

/// One value and the file that it came from. Not printable, it may be a key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) file: Arc<str>,
}

/// The settings of one profile by their names in lower case.
pub(super) type Profile = BTreeMap<String, Value>;

/// All profiles of both files, by name. What the credentials file says wins.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Profiles(BTreeMap<String, Profile>);

/// A file that is not a profile file. The message names the file and the line, never its content.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}, line {line}: {what}")]
pub(super) struct ParseError {
    file: Arc<str>,
    line: usize,
    what: &'static str,
}

impl Profiles {
    /// The profile of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Profile> {
        self.0.get(name)
    }

    /// Reads one file into the set. Call it with the config file first.
    ///
    /// # Errors
    /// A [`ParseError`] for a line that is neither a section, a setting nor a comment.
    pub(super) fn read(
        &mut self,
        text: &str,
        path: &str,
        kind: FileKind,
    ) -> Result<(), ParseError> {
        let file: Arc<str> = path.into();
        let fail = |line, what| ParseError {
            file: Arc::clone(&file),
            line,
            what,
        };
        let mut sections: Vec<(String, Profile)> = Vec::new();
        let mut indent = None;
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let number = number + 1;
            let content = line.trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            if line.starts_with('[') {
                let name = strip_comment(content, false)
                    .strip_prefix('[')
                    .and_then(|rest| rest.strip_suffix(']'))
                    .ok_or_else(|| {
                        fail(
                            number,
                            "a section must look like [default] or [profile name]",
                        )
                    })?;
                sections.push((name.trim().to_owned(), Profile::new()));
                indent = None;
                continue;
            }
            let Some((_, settings)) = sections.last_mut() else {
                return Err(fail(
                    number,
                    "a setting stands before any section; put a line [default] first",
                ));
            };
            // Deeper than the section's first setting: the inner part of a nested setting such as
            // `s3 =`, of which nothing is of interest here.
            let depth = line.len() - line.trim_start().len();
            if depth > *indent.get_or_insert(depth) {
                continue;
            }
            let (key, value) = strip_comment(content, true)
                .split_once('=')
                .ok_or_else(|| fail(number, "a setting must look like name = value"))?;
            if key.trim().is_empty() {
                return Err(fail(number, "a setting has no name before the ="));
            }
            let text = unquote(value.trim()).to_owned();
            let file = Arc::clone(&file);
            settings.insert(key.trim().to_ascii_lowercase(), Value { text, file });
        }
        self.merge(sections, kind);
        Ok(())
    }

    /// Adds sections under the names of their profiles; `[profile default]` replaces `[default]`.
    fn merge(&mut self, sections: Vec<(String, Profile)>, kind: FileKind) {
        let long_default =
            |name: &str| profile_name(name, kind) == Some("default") && name != "default";
        let ignore_default = sections.iter().any(|(name, _)| long_default(name));
        for (section, settings) in sections {
            if section == "default" && ignore_default {
                continue;
            }
            if let Some(name) = profile_name(&section, kind) {
                self.0.entry(name.to_owned()).or_default().extend(settings);
            }
        }
    }
}

/// The profile that a section describes; none for other sections, such as `[services x]`.
fn profile_name(section: &str, kind: FileKind) -> Option<&str> {
    match (kind, section.split_once([' ', '\t'])) {
        (FileKind::Config, Some(("profile", name))) => Some(name.trim()),
        (FileKind::Config, None) if section == "default" => Some(section),
        (FileKind::Credentials, None) => Some(section),
        _ => None,
    }
}

/// Cuts a comment off; within a setting it must follow white space, as `#` may be part of a value.
fn strip_comment(line: &str, after_space_only: bool) -> &str {
    let mut after_space = false;
    for (index, character) in line.char_indices() {
        if matches!(character, '#' | ';') && (after_space || !after_space_only) {
            return line[..index].trim_end();
        }
        after_space = character.is_whitespace();
    }
    line
}

/// Removes one pair of quotes around the whole value.
pub(super) fn unquote(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .map_or(value, str::trim)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::{FileKind, Profiles};
    use proptest::prelude::*;

    fn read(text: &str, kind: FileKind) -> Result<Profiles, String> {
        let mut profiles = Profiles::default();
        profiles
            .read(text, "/etc/aws/config", kind)
            .map_err(|error| error.to_string())?;
        Ok(profiles)
    }

    fn value(profiles: &Profiles, profile: &str, key: &str) -> Option<String> {
        Some(profiles.get(profile)?.get(key)?.text.clone())
    }

    #[test]
    fn quoted_indented_commented_and_windows_style_settings_are_read() {
        let text = "\u{feff}# made by hand\r\n[default] ; the one\r\n  AWS_Access_Key_ID=\"AKIA1\"\r\n  aws_secret_access_key = 'a/b+c=#d' # secret\r\n  s3 =\r\n    max_attempts = 0\r\n  region=eu-west-1\r\n";
        let profiles = read(text, FileKind::Config).unwrap();
        assert_eq!(
            value(&profiles, "default", "aws_access_key_id").unwrap(),
            "AKIA1"
        );
        assert_eq!(
            value(&profiles, "default", "aws_secret_access_key").unwrap(),
            "a/b+c=#d"
        );
        assert_eq!(value(&profiles, "default", "region").unwrap(), "eu-west-1");
        assert_eq!(
            value(&profiles, "default", "max_attempts"),
            None,
            "nested settings are not settings"
        );
    }

    #[test]
    fn sections_are_named_as_their_file_names_them() {
        let text = "[default]\na=1\n[profile default]\na=2\n[profile x]\na=3\n[y]\na=4\n[services x]\na=5\n";
        let config = read(text, FileKind::Config).unwrap();
        assert_eq!(value(&config, "default", "a").unwrap(), "2");
        assert_eq!(value(&config, "x", "a").unwrap(), "3");
        assert!(config.get("y").is_none());
        let credentials = read(text, FileKind::Credentials).unwrap();
        assert_eq!(value(&credentials, "default", "a").unwrap(), "1");
        assert_eq!(value(&credentials, "y", "a").unwrap(), "4");
        assert!(credentials.get("x").is_none());
    }

    #[test]
    fn the_credentials_file_wins_over_the_config_file() {
        let mut profiles = read("[default]\na=1\nb=1\n", FileKind::Config).unwrap();
        profiles
            .read("[default]\na=2\n", "/credentials", FileKind::Credentials)
            .unwrap();
        assert_eq!(value(&profiles, "default", "a").unwrap(), "2");
        assert_eq!(value(&profiles, "default", "b").unwrap(), "1");
    }

    #[test]
    fn a_bad_line_is_named_by_file_and_number_without_its_content() {
        for (text, expected) in [
            ("key = hidden", "line 1: a setting stands before"),
            (
                "[default]\n\nhidden",
                "line 3: a setting must look like name = value",
            ),
            ("[default]\n= hidden", "line 2: a setting has no name"),
            ("[hidden", "line 1: a section must look like"),
        ] {
            let message = read(text, FileKind::Config).err().unwrap();
            assert!(
                message.contains("/etc/aws/config") && message.contains(expected),
                "{message}"
            );
            assert!(!message.contains("hidden"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[\\[\\]a-z=#; \"'\n\t\u{e9}]{0,80}") {
            let _ = read(&text, FileKind::Config);
            let _ = read(&text, FileKind::Credentials);
        }
    }
}
