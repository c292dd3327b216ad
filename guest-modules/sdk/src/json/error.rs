//! What is wrong with one field, with its path growing as the error leaves the nested values.

use core::fmt::{self, Display, Write as _};

use ecr_policy_model::FieldError;
use serde::de::{self, Expected, Unexpected};

/// An error at a field. Boxed, because a result that fits two registers makes the code of every reader smaller.
#[derive(Debug)]
pub(super) struct Error(Box<FieldError>);

impl From<Error> for FieldError {
    fn from(error: Error) -> Self {
        *error.0
    }
}

impl Error {
    fn new(field: &str, message: String) -> Self {
        Self(Box::new(FieldError {
            field: field.into(),
            message,
        }))
    }

    /// The same error, seen from the object that holds the field.
    #[cold]
    pub(super) fn in_field(mut self, key: &str) -> Self {
        let field = &mut self.0.field;
        if !field.is_empty() && !field.starts_with('[') {
            field.insert(0, '.');
        }
        field.insert_str(0, key);
        self
    }

    /// The same error, seen from the array that holds the element.
    #[cold]
    pub(super) fn in_element(self, index: usize) -> Self {
        self.in_field(&format!("[{index}]"))
    }

    /// A value of another form than the one expected.
    pub(super) fn instead_of(found: &str, wanted: impl Display) -> Self {
        de::Error::custom(format_args!("must be {wanted}, not {found}"))
    }

    fn not_one_of(name: &str, what: &str, known: &[&str]) -> Self {
        let mut message = String::from(what);
        for (index, known) in known.iter().enumerate() {
            message.push_str(if index == 0 { "; known: `" } else { "`, `" });
            message.push_str(known);
        }
        if !known.is_empty() {
            message.push('`');
        }
        Self::new(name, message)
    }
}

impl de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        let mut text = String::new();
        // Writing to a String fails only when the value's own Display does; then what it wrote stands.
        let _ = write!(text, "{message}");
        Self::new("", text)
    }

    // serde's own wording prints the value, and with it the code that prints floating point numbers.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::instead_of(name_of(&found), expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match found {
            Unexpected::Unsigned(number) => {
                de::Error::custom(format_args!("must be {expected}, not {number}"))
            }
            Unexpected::Signed(number) => {
                de::Error::custom(format_args!("must be {expected}, not {number}"))
            }
            other => Self::instead_of(name_of(&other), expected),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(field, "is missing".into())
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::not_one_of(field, "is not a setting of this policy", known)
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let mut error = Self::not_one_of("", "` is not a known value", known);
        error.0.message.insert_str(0, variant);
        error.0.message.insert(0, '`');
        error
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(field, "is given twice".into())
    }
}

fn name_of(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) => "this string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq | Unexpected::Bytes(_) => "an array",
        Unexpected::Map => "an object",
        _ => "this value",
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl core::error::Error for Error {}
