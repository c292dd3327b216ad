//! The insides of arrays, objects and enums, as serde asks for them.

use serde::de::value::StringDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use crate::json::{Error, Reader};

/// The elements of an array.
pub(super) struct Elements<'r, 't> {
    reader: &'r mut Reader<'t>,
    index: usize,
    first: bool,
    over: bool,
}

impl<'r, 't> Elements<'r, 't> {
    pub(super) fn enter(reader: &'r mut Reader<'t>) -> Result<Self, Error> {
        reader.enter(b'[')?;
        Ok(Self {
            reader,
            index: 0,
            first: true,
            over: false,
        })
    }

    pub(super) fn leave(self) -> Result<(), Error> {
        leave(self.reader, b']', self.first, self.over)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.over || !self.reader.more(b']', &mut self.first)? {
            self.over = true;
            return Ok(None);
        }
        let index = self.index;
        self.index += 1;
        let value = seed.deserialize(&mut *self.reader);
        value.map(Some).map_err(|error| error.in_element(index))
    }
}

/// The fields of an object.
pub(super) struct Entries<'r, 't> {
    reader: &'r mut Reader<'t>,
    first: bool,
    over: bool,
    /// The name of the current field, for the path of an error.
    key: String,
}

impl<'r, 't> Entries<'r, 't> {
    pub(super) fn enter(reader: &'r mut Reader<'t>) -> Result<Self, Error> {
        reader.enter(b'{')?;
        Ok(Self {
            reader,
            first: true,
            over: false,
            key: String::new(),
        })
    }

    pub(super) fn leave(self) -> Result<(), Error> {
        leave(self.reader, b'}', self.first, self.over)
    }

    fn value<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'t>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        read(self.reader).map_err(|error| error.in_field(&self.key))
    }
}

fn leave(reader: &mut Reader<'_>, bracket: u8, mut first: bool, over: bool) -> Result<(), Error> {
    if !over && reader.more(bracket, &mut first)? {
        return Err(Error::new("has more elements than expected"));
    }
    Ok(())
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if self.over || !self.reader.more(b'}', &mut self.first)? {
            self.over = true;
            return Ok(None);
        }
        self.key = self.reader.key()?;
        seed.deserialize(StringDeserializer::new(self.key.clone()))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.value(|reader| seed.deserialize(reader))
    }
}

/// An enum's variant that carries data: an object with one field.
pub(super) struct Variant<'e, 'r, 't>(pub(super) &'e mut Entries<'r, 't>);

impl<'de> EnumAccess<'de> for Variant<'_, '_, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        match self.0.next_key_seed(seed)? {
            Some(variant) => Ok((variant, self)),
            None => Err(Error::new("must be an object with one field")),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        self.0.next_value()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        self.0.next_value_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.0.value(|reader| reader.visit_array(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.value(|reader| reader.visit_object(visitor))
    }
}
