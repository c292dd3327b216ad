//! What serde says is wrong, in the words of a user.

use core::fmt::Display;

use serde::de::{self, Expected, Unexpected};

use crate::json::Error;

impl de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    // serde's own wording prints the value, and with it the code that prints floating point numbers.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::instead_of(name_of(&found), &expected.to_string())
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match found {
            Unexpected::Unsigned(number) => {
                Self::instead_of(&number.to_string(), &expected.to_string())
            }
            Unexpected::Signed(number) => {
                Self::instead_of(&number.to_string(), &expected.to_string())
            }
            other => Self::invalid_type(other, expected),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::missing(field)
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::unknown(field, known)
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::unknown_value(variant, known)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::twice(field)
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
