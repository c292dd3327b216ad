//! Reads JSON text into any type that serde can read, and says which field does not fit.
//!
//! Why not `serde_json`: it brings arithmetic and printing of floating point numbers into every guest, which makes a
//! policy of 42 KB one of 73 KB, and its errors give a line and column of text that the user
//! never sees in place of the path of the field. What a settings type does not use costs nothing here.
//! The tests compare this reader with `serde_json`.

mod error;
mod reader;

use ecr_policy_model::FieldError;
use serde::Deserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess,
    Visitor, value::StringDeserializer,
};

use error::Error;
use reader::{Kind, Reader};

/// Reads one value that is the whole text.
pub(crate) fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
    let mut reader = Reader::new(text);
    T::deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(FieldError::from)
}

/// Integers of every width: the visitor checks the range.
macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.integer(visitor)
        }
    )*};
}

/// Hints that change nothing: the value's own form decides.
macro_rules! strings {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.kind()? {
                Kind::String => visitor.visit_string(self.string()?),
                other => Err(other.instead_of("a string")),
            }
        }
    )*};
}

impl Reader<'_> {
    fn integer<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Number => {
                let number = self.number()?;
                if let Ok(unsigned) = number.parse::<u64>() {
                    visitor.visit_u64(unsigned)
                } else if let Ok(signed) = number.parse::<i64>() {
                    visitor.visit_i64(signed)
                } else {
                    Err(Error::custom("must be a whole number of at most 64 bits"))
                }
            }
            other => Err(other.instead_of("a whole number")),
        }
    }

    fn float<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Number => match self.number()?.parse::<f64>() {
                Ok(number) if number.is_finite() => visitor.visit_f64(number),
                _ => Err(Error::custom("must be a number that fits 64 bits")),
            },
            other => Err(other.instead_of("a number")),
        }
    }

    fn literal<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Bool => visitor.visit_bool(self.boolean()?),
            other => Err(other.instead_of("`true` or `false`")),
        }
    }

    fn array<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Array => {
                self.open(b'[')?;
                let value = visitor.visit_seq(Elements {
                    reader: self,
                    index: 0,
                })?;
                // A tuple visitor leaves off early when the array is longer than it is.
                self.close(b']').map(|()| value)
            }
            other => Err(other.instead_of("an array")),
        }
    }

    fn object<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Object => {
                self.open(b'{')?;
                let value = visitor.visit_map(Fields {
                    reader: self,
                    first: true,
                    key_at: 0,
                })?;
                self.close(b'}').map(|()| value)
            }
            other => Err(other.instead_of("an object")),
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'_> {
    type Error = Error;

    integers! {
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
    }
    strings! { deserialize_str deserialize_string deserialize_char deserialize_identifier }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Null => self.deserialize_unit(visitor),
            Kind::Bool => self.literal(visitor),
            Kind::Number if self.is_integer() => self.integer(visitor),
            Kind::Number => self.float(visitor),
            Kind::String => visitor.visit_string(self.string()?),
            Kind::Array => self.array(visitor),
            Kind::Object => self.object(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.literal(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.float(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.float(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.array(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.array(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Null => {
                self.null()?;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Null => {
                self.null()?;
                visitor.visit_unit()
            }
            other => Err(other.instead_of("null")),
        }
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

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.array(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.array(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.array(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.object(visitor)
    }

    // Unlike serde_json, an array is no struct: settings are read by people.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.object(visitor)
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
                self.open(b'{')?;
                let fields = Fields {
                    reader: self,
                    first: true,
                    key_at: 0,
                };
                let value = visitor.visit_enum(Variant(fields))?;
                self.close(b'}').map(|()| value)
            }
            other => Err(other.instead_of("a string or an object")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }
}

/// The elements of an array.
struct Elements<'r, 't> {
    reader: &'r mut Reader<'t>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if !self.reader.more(b']', self.index == 0)? {
            return Ok(None);
        }
        let index = self.index;
        self.index += 1;
        seed.deserialize(&mut *self.reader)
            .map(Some)
            .map_err(|error| error.in_element(index))
    }
}

/// The fields of an object.
struct Fields<'r, 't> {
    reader: &'r mut Reader<'t>,
    first: bool,
    /// Where the key of the current field stands, to read it again for an error's path.
    key_at: usize,
}

impl Fields<'_, '_> {
    fn in_field(&self, error: Error) -> Error {
        error.in_field(&self.reader.string_at(self.key_at))
    }
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if !self.reader.more(b'}', self.first)? {
            return Ok(None);
        }
        self.first = false;
        self.key_at = self.reader.position();
        let key = self.reader.string()?;
        self.reader.expect(b':')?;
        seed.deserialize(StringDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.reader)
            .map_err(|error| self.in_field(error))
    }
}

/// An enum's variant that carries data: an object with one field.
struct Variant<'r, 't>(Fields<'r, 't>);

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(mut self, seed: V) -> Result<(V::Value, Self), Error> {
        match self.0.next_key_seed(seed)? {
            Some(variant) => Ok((variant, self)),
            None => Err(Error::custom("must be an object with one field")),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Error;

    fn unit_variant(mut self) -> Result<(), Error> {
        self.0.next_value()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value, Error> {
        self.0.next_value_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        let value = self.0.reader.array(visitor);
        value.map_err(|error| self.0.in_field(error))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let value = self.0.reader.object(visitor);
        value.map_err(|error| self.0.in_field(error))
    }
}

#[cfg(test)]
mod tests;
