//! The process environment as a value, so that tests run side by side with environments of their own.

use std::collections::BTreeMap;
use std::fmt;

/// The environment variables that the broker may look at.
///
/// Values are trimmed, because Secrets that become environment variables often end in a newline; a
/// variable that is empty counts as not set. `Debug` shows names only, since values may be keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Takes the variables that concern AWS from this process: `AWS_*`, `ROLEARN` and `HOME`.
    ///
    /// A variable that is not UTF-8 is left out: no value that AWS knows needs it.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("AWS_") || name == "ROLEARN" || name == "HOME")
            .collect()
    }

    /// The variable's value, trimmed; none when it is not set or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// Whether the variable is set to `true`, in any case of letters.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Environment;

    #[test]
    fn values_are_trimmed_empty_ones_do_not_count_and_none_is_printed() {
        let environment = Environment::from_iter([
            ("AWS_SECRET_ACCESS_KEY", "hidden-value\n"),
            ("AWS_PROFILE", " "),
            ("AWS_EC2_METADATA_DISABLED", "TRUE"),
        ]);
        assert_eq!(
            environment.get("AWS_SECRET_ACCESS_KEY"),
            Some("hidden-value")
        );
        assert_eq!(environment.get("AWS_PROFILE"), None);
        assert!(environment.is_true("AWS_EC2_METADATA_DISABLED"));
        assert!(!format!("{environment:?}").contains("hidden-value"));
    }
}
