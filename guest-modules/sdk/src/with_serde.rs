//! Settings that serde reads, for those that are richer than [`Setting`](crate::Setting) knows: enums with data,
//! types of other crates, `flatten`. It makes a policy some KB larger, so it is a feature, and only
//! types that ask for it pay.

mod access;
mod error;

use serde::Deserializer;
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, Visitor};

use crate::json::{Error, Kind, Reader};
use access::{Elements, Entries, Variant};

/// Reads the value that comes next as serde does.
///
/// A type that derives [`Setting`](derive@crate::Setting) asks for it with `#[setting(serde)]`; another one in an
/// implementation by hand:
///
/// ```
/// use ecr_policy::json::{Error, Reader};
/// use ecr_policy::prelude::*;
///
/// #[derive(serde::Deserialize, Setting)]
/// #[setting(serde)]
/// #[serde(deny_unknown_fields)]
/// struct Settings {
///     renew: Renew,
/// }
///
/// #[derive(Debug, PartialEq, serde::Deserialize)]
/// #[serde(rename_all = "snake_case")]
/// enum Renew {
///     Never,
///     After(u64),
/// }
///
/// impl Setting for Renew {
///     fn schema(out: &mut String) {
///         out.push_str(r#""oneOf":[{"const":"never"},{"type":"object"}]"#);
///     }
///
///     fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
///         ecr_policy::read_with_serde(reader)
///     }
/// }
///
/// let settings: Settings = ecr_policy::parse_settings(r#"{"renew": {"after": 60}}"#).unwrap();
/// assert_eq!(settings.renew, Renew::After(60));
/// ```
///
/// # Errors
/// When it does not fit, with the path of what does not.
pub fn read_with_serde<T: DeserializeOwned>(reader: &mut Reader<'_>) -> Result<T, Error> {
    T::deserialize(reader)
}

/// Functions of the same form that differ in their names.
macro_rules! alike {
    ($($method:ident)* => $reads:ident) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$reads(visitor)
        }
    )*};
}

impl Reader<'_> {
    fn visit_integer<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Number => visit_integer(self.number()?, visitor),
            other => Err(other.instead_of("a whole number")),
        }
    }

    fn visit_float<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        visit_float(self.number()?, visitor)
    }

    fn visit_string<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.string()?)
    }

    fn visit_array<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let mut elements = Elements::enter(self)?;
        let value = visitor.visit_seq(&mut elements)?;
        // A tuple visitor leaves off early when the array is longer than it is.
        elements.leave().map(|()| value)
    }

    fn visit_object<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let mut entries = Entries::enter(self)?;
        let value = visitor.visit_map(&mut entries)?;
        entries.leave().map(|()| value)
    }
}

/// Integers of every width: the visitor checks the range.
fn visit_integer<'de, V: Visitor<'de>>(number: &str, visitor: V) -> Result<V::Value, Error> {
    if let Ok(unsigned) = number.parse::<u64>() {
        visitor.visit_u64(unsigned)
    } else if let Ok(signed) = number.parse::<i64>() {
        visitor.visit_i64(signed)
    } else {
        Err(Error::new("must be a whole number of at most 64 bits"))
    }
}

fn visit_float<'de, V: Visitor<'de>>(number: &str, visitor: V) -> Result<V::Value, Error> {
    match number.parse::<f64>() {
        Ok(number) if number.is_finite() => visitor.visit_f64(number),
        _ => Err(Error::new("must be a number that fits 64 bits")),
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'_> {
    type Error = Error;

    alike! { deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 => visit_integer }
    alike! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 => visit_integer }
    alike! { deserialize_f32 deserialize_f64 => visit_float }
    alike! { deserialize_str deserialize_string deserialize_char => visit_string }
    alike! { deserialize_identifier => visit_string }
    alike! { deserialize_seq deserialize_bytes deserialize_byte_buf => visit_array }
    alike! { deserialize_map => visit_object }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Null => self.deserialize_unit(visitor),
            Kind::Bool => self.deserialize_bool(visitor),
            Kind::Number => {
                let number = self.number()?;
                if number
                    .bytes()
                    .all(|byte| byte == b'-' || byte.is_ascii_digit())
                {
                    visit_integer(number, visitor)
                } else {
                    visit_float(number, visitor)
                }
            }
            Kind::String => self.visit_string(visitor),
            Kind::Array => self.visit_array(visitor),
            Kind::Object => self.visit_object(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.boolean()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.kind()? == Kind::Null {
            self.null()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.null()?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_array(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_array(visitor)
    }

    // Unlike serde_json, an array is no struct: settings are read by people.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_object(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::String => visitor.visit_enum(StringDeserializer::new(self.string()?)),
            Kind::Object => {
                let mut entries = Entries::enter(self)?;
                let value = visitor.visit_enum(Variant(&mut entries))?;
                entries.leave().map(|()| value)
            }
            other => Err(other.instead_of("a string or an object")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }
}

#[cfg(test)]
mod tests;
