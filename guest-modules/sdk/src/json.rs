//! Reads JSON text straight into settings, and says which field does not fit.
//!
//! [`#[derive(Setting)]`](derive@crate::Setting) writes the code that uses this module; look here to implement
//! [`Setting`] by hand for a type that the derive macro does not know.
//!
//! Why not `serde_json`: it brings arithmetic and printing of floating point numbers into every policy, some thirty KB,
//! and its errors give a line and column of text that the user never sees in place of the path of the field.
//! Why not serde: its visitors, and printing its errors, made policies two to six KB larger. What a settings
//! type does not use costs nothing here. The tests compare this reader with `serde_json`.

mod error;
mod fields;
mod reader;

use ecr_policy_model::FieldError;

use crate::setting::Setting;

pub use error::Error;
pub use fields::{Fields, required};
pub use reader::{Kind, Reader};

/// Reads one value that is the whole text.
pub(crate) fn from_str<T: Setting>(text: &str) -> Result<T, FieldError> {
    let mut reader = Reader::new(text);
    T::read(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(FieldError::from)
}

#[cfg(test)]
mod tests;
