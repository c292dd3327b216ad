//! The values that settings are made of.

use std::collections::BTreeMap;

use super::Setting;
use crate::json::{Error, Kind, Reader};

impl Setting for String {
    fn schema(out: &mut String) {
        out.push_str(r#""type":"string""#);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.string()
    }
}

impl Setting for bool {
    fn schema(out: &mut String) {
        out.push_str(r#""type":"boolean""#);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.boolean()
    }
}

macro_rules! integers {
    ($($schema:literal: $($type:ident)*;)*) => {$($(
        impl Setting for $type {
            fn schema(out: &mut String) {
                out.push_str($schema);
            }

            #[allow(
                clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss,
                clippy::cast_lossless, trivial_numeric_casts,
                reason = "the bounds are those of the type, and what is read lies between them"
            )]
            fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
                let below_zero = ($type::MIN as u64).wrapping_neg();
                Ok(reader.integer(below_zero, $type::MAX as u64)? as $type)
            }
        }
    )*)*};
}

integers! {
    r#""type":"integer","minimum":0"#: u8 u16 u32 u64 usize;
    r#""type":"integer""#: i8 i16 i32 i64 isize;
}

impl Setting for f64 {
    fn schema(out: &mut String) {
        out.push_str(r#""type":"number""#);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.number()?.parse() {
            Ok(number) if f64::is_finite(number) => Ok(number),
            _ => Err(Error::new("must be a number that fits 64 bits")),
        }
    }
}

impl Setting for f32 {
    fn schema(out: &mut String) {
        f64::schema(out);
    }

    #[expect(clippy::cast_possible_truncation, reason = "the nearest one is meant")]
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let number = f64::read(reader)? as f32;
        if number.is_finite() {
            return Ok(number);
        }
        Err(Error::new("must be a number that fits 32 bits"))
    }
}

impl Setting for char {
    fn schema(out: &mut String) {
        String::schema(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let text = reader.string()?;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => Ok(character),
            _ => Err(Error::new("must be one character")),
        }
    }
}

/// Takes anything, and keeps nothing of it.
impl Setting for () {
    fn schema(_out: &mut String) {}

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.skip()
    }
}

impl<T: Setting> Setting for Option<T> {
    fn schema(out: &mut String) {
        T::schema(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        if reader.kind()? == Kind::Null {
            return reader.null().map(|()| None);
        }
        T::read(reader).map(Some)
    }

    fn missing() -> Option<Self> {
        Some(None)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn schema(out: &mut String) {
        out.push_str(r#""type":"array","items":{"#);
        T::schema(out);
        out.push('}');
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut values = Vec::new();
        let mut first = true;
        reader.enter(b'[')?;
        while reader.more(b']', &mut first)? {
            match T::read(reader) {
                Ok(value) => values.push(value),
                Err(error) => return Err(error.in_element(values.len())),
            }
        }
        Ok(values)
    }
}

/// An object, as pairs in the order of the text: what a map would be, for five KB less.
impl<T: Setting> Setting for Vec<(String, T)> {
    fn schema(out: &mut String) {
        out.push_str(r#""type":"object","additionalProperties":{"#);
        T::schema(out);
        out.push('}');
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut pairs = Vec::new();
        entries(reader, |key, value| pairs.push((key, value)))?;
        Ok(pairs)
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn schema(out: &mut String) {
        <Vec<(String, T)>>::schema(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut map = BTreeMap::new();
        entries(reader, |key, value| drop(map.insert(key, value)))?;
        Ok(map)
    }
}

fn entries<T: Setting>(
    reader: &mut Reader<'_>,
    mut each: impl FnMut(String, T),
) -> Result<(), Error> {
    let mut first = true;
    reader.enter(b'{')?;
    while reader.more(b'}', &mut first)? {
        let key = reader.key()?;
        match T::read(reader) {
            Ok(value) => each(key, value),
            Err(error) => return Err(error.in_field(&key)),
        }
    }
    Ok(())
}
