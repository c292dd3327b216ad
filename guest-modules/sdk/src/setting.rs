//! What can stand in the settings of a policy.

mod values;

pub use ecr_policy_macros::Setting;

use crate::json::{Error, Reader};

/// A type that can be read from settings, and whose JSON schema is known.
///
/// Derive it for a struct with named fields, or for an enum of names; the [macro](derive@crate::Setting) lists the
/// attributes. Doc comments become descriptions, so that tools can tell what the settings are.
///
/// ```
/// use ecr_policy::prelude::*;
///
/// #[derive(Setting)]
/// #[setting(deny_unknown_fields)]
/// struct Settings {
///     /// The team.
///     prefix: String,
///     #[setting(default = "ten")]
///     percent: u8,
///     mode: Option<Mode>,
/// }
///
/// #[derive(Debug, PartialEq, Setting)]
/// #[setting(rename_all = "kebab-case")]
/// enum Mode {
///     Fast,
///     VerySlow,
/// }
///
/// fn ten() -> u8 {
///     10
/// }
///
/// let schema = ecr_policy::schema_of::<Settings>();
/// assert!(schema.contains(r#""prefix":{"type":"string","description":"The team."}"#));
/// assert!(schema.contains(r#""required":["prefix"],"additionalProperties":false"#));
///
/// let text = r#"{"prefix": "web", "mode": "very-slow"}"#;
/// let settings: Settings = ecr_policy::parse_settings(text).unwrap();
/// assert_eq!((settings.percent, settings.mode), (10, Some(Mode::VerySlow)));
/// ```
///
/// Settings are made of `bool`, the integers, `f64` and `f32`, `String`, `char`, `Option`, `Vec`, maps and such types. A map
/// is a `Vec<(String, T)>`, in the order of the text, or a `BTreeMap<String, T>`, which makes the policy five KB larger.
/// `()` takes anything and keeps nothing. For all else implement it by hand, with what [`json`](crate::json) gives:
///
/// ```
/// use ecr_policy::json::{Error, Reader};
/// use ecr_policy::prelude::*;
///
/// /// 1 to 90.
/// struct Percent(u8);
///
/// impl Setting for Percent {
///     fn schema(out: &mut String) {
///         out.push_str(r#""type":"integer","minimum":1,"maximum":90"#);
///     }
///
///     fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
///         match u8::read(reader)? {
///             percent @ 1..=90 => Ok(Percent(percent)),
///             _ => Err(Error::new("must be 1 to 90")),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in settings",
    note = "put `#[derive(Setting)]` on it, or implement `ecr_policy::Setting` by hand"
)]
pub trait Setting: Sized {
    /// Writes the members of the JSON schema, without the braces around them.
    fn schema(out: &mut String);

    /// Reads the value that comes next.
    ///
    /// # Errors
    /// When it does not fit, with the path of what does not.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error>;

    /// What it means when a field of this type is missing. Nothing: then the field is required.
    fn missing() -> Option<Self> {
        None
    }
}

/// The schema of a type as JSON text.
pub fn schema_of<T: Setting>() -> String {
    let mut out = String::from("{");
    T::schema(&mut out);
    out.push('}');
    out
}

/// Writes one property. For the derive macro.
#[doc(hidden)]
pub fn property<T: Setting>(out: &mut String, head: &str, description: &str) {
    out.push_str(head);
    T::schema(out);
    if !description.is_empty() {
        if !out.ends_with('{') {
            out.push(',');
        }
        out.push_str(description);
    }
    out.push('}');
}

/// Writes the names of those that are not optional. For the derive macro.
#[doc(hidden)]
pub fn required(out: &mut String, names: &[(&str, bool)]) {
    let mut first = true;
    for (name, _) in names.iter().filter(|(_, optional)| !optional) {
        if !first {
            out.push(',');
        }
        first = false;
        out.push_str(name);
    }
}

#[cfg(test)]
mod tests;
