//! The fields of an object, one after the other.

use super::error::Error;
use super::reader::Reader;
use crate::setting::Setting;

/// Steps through an object whose fields have known names. This is what the derive macro writes for
/// `struct Share { percent: u8, of: Option<String> }`:
///
/// ```
/// use ecr_policy::json::{Error, Reader, required};
/// # struct Share { percent: u8, of: Option<String> }
///
/// fn read(reader: &mut Reader<'_>) -> Result<Share, Error> {
///     let (mut percent, mut of) = (None, None);
///     let mut fields = reader.fields(&["percent", "of"])?;
///     while let Some(index) = fields.next()? {
///         match index {
///             0 => fields.value(&mut percent)?,
///             1 => fields.value(&mut of)?,
///             // `skip` where unknown fields are no mistake.
///             _ => fields.refuse()?,
///         }
///     }
///     Ok(Share { percent: required(percent, "percent")?, of: required(of, "of")? })
/// }
/// ```
#[derive(Debug)]
pub struct Fields<'r, 't> {
    reader: &'r mut Reader<'t>,
    names: &'static [&'static str],
    key: String,
    first: bool,
}

impl<'t> Reader<'t> {
    /// Enters an object.
    ///
    /// # Errors
    /// When the next value is none.
    pub fn fields<'r>(
        &'r mut self,
        names: &'static [&'static str],
    ) -> Result<Fields<'r, 't>, Error> {
        self.enter(b'{')?;
        Ok(Fields {
            reader: self,
            names,
            key: String::new(),
            first: true,
        })
    }
}

impl Fields<'_, '_> {
    /// Steps to the next field and tells which name it has. A number past the last one stands for
    /// a name that is not known. None after the last field, and outside of the object then.
    ///
    /// # Errors
    /// When the text is not JSON.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would borrow the fields for as long as it goes on"
    )]
    pub fn next(&mut self) -> Result<Option<usize>, Error> {
        if !self.reader.more(b'}', &mut self.first)? {
            return Ok(None);
        }
        self.key = self.reader.key()?;
        let known = self.names.iter().position(|name| *name == self.key);
        Ok(Some(known.unwrap_or(self.names.len())))
    }

    /// Reads the value of the field.
    ///
    /// # Errors
    /// When it does not fit, and when there was one before.
    pub fn value<T: Setting>(&mut self, slot: &mut Option<T>) -> Result<(), Error> {
        if slot.is_some() {
            return Err(Error::twice(&self.key));
        }
        match T::read(self.reader) {
            Ok(value) => *slot = Some(value),
            Err(error) => return Err(error.in_field(&self.key)),
        }
        Ok(())
    }

    /// Steps over the value of a field that is not known.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn skip(&mut self) -> Result<(), Error> {
        self.reader.skip()
    }

    /// Refuses a field that is not known, and names those that are.
    ///
    /// # Errors
    /// Always.
    pub fn refuse(&mut self) -> Result<(), Error> {
        Err(Error::unknown(&self.key, self.names))
    }
}

/// What was read, or what a missing field means to the type.
///
/// # Errors
/// When it means nothing, so the field is required.
pub fn required<T: Setting>(slot: Option<T>, name: &str) -> Result<T, Error> {
    match slot.or_else(T::missing) {
        Some(value) => Ok(value),
        None => Err(Error::missing(name)),
    }
}
