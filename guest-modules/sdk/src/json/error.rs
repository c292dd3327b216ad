//! What is wrong with one field, with its path growing as the error leaves the nested values.
//!
//! Texts are put together by hand: `format!` would make a policy four KB larger.

use core::fmt::{self, Display};

use ecr_policy_model::FieldError;

/// An error at a field. Boxed, because a result that fits two registers makes the code of every reader smaller.
#[derive(Debug)]
pub struct Error(Box<FieldError>);

impl From<Error> for FieldError {
    fn from(error: Error) -> Self {
        *error.0
    }
}

impl Error {
    /// Something is wrong with the value that is being read: what, and what would be right (`must be …`).
    #[cold]
    pub fn new(message: impl Into<String>) -> Self {
        Self::at("", message.into())
    }

    /// The same error, seen from the object that holds the field.
    #[cold]
    #[must_use]
    pub fn in_field(mut self, key: &str) -> Self {
        let inner = &self.0.field;
        let dot = if inner.is_empty() || inner.starts_with('[') {
            ""
        } else {
            "."
        };
        self.0.field = join(&[key, dot, inner]);
        self
    }

    /// The same error, seen from the array that holds the element.
    #[cold]
    #[must_use]
    pub fn in_element(self, index: usize) -> Self {
        let mut key = String::from("[");
        push_number(&mut key, index as u64);
        key.push(']');
        self.in_field(&key)
    }

    /// Something is wrong with a field of the value.
    pub(crate) fn at(field: &str, message: String) -> Self {
        Self(Box::new(FieldError {
            field: field.into(),
            message,
        }))
    }

    /// A value of another form than the one expected.
    #[cold]
    pub(crate) fn instead_of(found: &str, wanted: &str) -> Self {
        Self::at("", join(&["must be ", wanted, ", not ", shortened(found)]))
    }

    /// A whole number that is none, or that is too small or too large.
    #[cold]
    pub(crate) fn out_of_range(found: &str, below_zero: u64, most: u64) -> Self {
        let mut wanted = String::from("a whole number from ");
        if below_zero > 0 {
            wanted.push('-');
        }
        push_number(&mut wanted, below_zero);
        wanted.push_str(" to ");
        push_number(&mut wanted, most);
        Self::instead_of(found, &wanted)
    }

    /// The text ends or goes on as no JSON does.
    #[cold]
    pub(crate) fn syntax(at: usize) -> Self {
        let mut message = String::from("is not JSON at byte ");
        push_number(&mut message, at as u64);
        Self::at("", message)
    }

    #[cold]
    pub(crate) fn missing(field: &str) -> Self {
        Self::at(field, "is missing".into())
    }

    #[cold]
    pub(crate) fn twice(field: &str) -> Self {
        Self::at(field, "is given twice".into())
    }

    #[cold]
    pub(crate) fn unknown(field: &str, known: &[&str]) -> Self {
        let what = String::from("is not a setting of this policy");
        Self::at(field, with_known(what, known))
    }

    #[cold]
    pub(crate) fn unknown_value(value: &str, known: &[&str]) -> Self {
        let what = join(&["`", shortened(value), "` is not a known value"]);
        Self::at("", with_known(what, known))
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl core::error::Error for Error {}

/// What is wrong, and then the names that would be right.
fn with_known(mut message: String, known: &[&str]) -> String {
    let mut before = "; known: `";
    for name in known {
        message.push_str(before);
        message.push_str(name);
        before = "`, `";
    }
    if !known.is_empty() {
        message.push('`');
    }
    message
}

/// Enough of a text of the user to recognise it.
fn shortened(text: &str) -> &str {
    const SHOWN: usize = 60;
    text.split_at_checked(text.floor_char_boundary(SHOWN))
        .map_or(text, |(shown, _)| shown)
}

/// Smaller than `concat`, which checks that the length does not overflow.
fn join(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        text.push_str(part);
    }
    text
}

fn push_number(text: &mut String, number: u64) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    // A digit is less than ten, so this never falls back.
    text.push(char::from_digit((number % 10) as u32, 10).unwrap_or('0'));
}
