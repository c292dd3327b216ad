//! Steps through the text: knows JSON's grammar (RFC 8259) and nothing of settings.

use super::error::Error;

/// How deep arrays and objects may nest. A policy's stack is small.
const DEPTH_MAX: u8 = 64;

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number of any form.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// The error for a value of this kind where something else is wanted (`a string`), in the words of a user.
    #[cold]
    pub fn instead_of(self, wanted: &str) -> Error {
        let found = match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        };
        Error::instead_of(found, wanted)
    }
}

/// A position in a JSON text.
#[derive(Debug)]
pub struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: u8,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// Succeeds when nothing follows.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        self.space();
        if self.at == self.text.len() {
            return Ok(());
        }
        Err(self.syntax())
    }

    /// The kind of the next value.
    ///
    /// # Errors
    /// When no value follows.
    pub fn kind(&mut self) -> Result<Kind, Error> {
        self.space();
        match self.peek() {
            b'n' => Ok(Kind::Null),
            b't' | b'f' => Ok(Kind::Bool),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b'"' => Ok(Kind::String),
            b'[' => Ok(Kind::Array),
            b'{' => Ok(Kind::Object),
            _ => Err(self.syntax()),
        }
    }

    /// Reads `null`.
    ///
    /// # Errors
    /// When the next value is another.
    pub fn null(&mut self) -> Result<(), Error> {
        self.is(Kind::Null, "null")?;
        self.word("null")
    }

    /// Reads `true` or `false`.
    ///
    /// # Errors
    /// When the next value is another.
    pub fn boolean(&mut self) -> Result<bool, Error> {
        self.is(Kind::Bool, "`true` or `false`")?;
        let truth = self.peek() == b't';
        self.word(if truth { "true" } else { "false" })?;
        Ok(truth)
    }

    /// Reads a number, and gives it as it is written.
    ///
    /// # Errors
    /// When the next value is none.
    pub fn number(&mut self) -> Result<&'t str, Error> {
        self.is(Kind::Number, "a number")?;
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        // Both ends are next to ASCII characters, so they are character boundaries.
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Reads a whole number between two bounds: the lower one by its distance from zero.
    /// The result holds a negative number as its two's complement.
    pub(crate) fn integer(&mut self, below_zero: u64, most: u64) -> Result<u64, Error> {
        self.is(Kind::Number, "a whole number")?;
        let text = self.number()?;
        let digits = text.strip_prefix('-');
        let limit = if digits.is_some() { below_zero } else { most };
        let mut value = 0_u64;
        for byte in digits.unwrap_or(text).bytes() {
            let digit = u64::from(byte.wrapping_sub(b'0'));
            if digit > 9 || digit > limit || value > (limit - digit) / 10 {
                return Err(Error::out_of_range(text, below_zero, most));
            }
            value = value * 10 + digit;
        }
        Ok(if digits.is_some() {
            value.wrapping_neg()
        } else {
            value
        })
    }

    /// Reads a string.
    ///
    /// # Errors
    /// When the next value is none.
    pub fn string(&mut self) -> Result<String, Error> {
        self.is(Kind::String, "a string")?;
        self.quoted()
    }

    /// Reads one of a few strings, and tells its place among them.
    ///
    /// # Errors
    /// When the next value is none of them.
    pub fn one_of(&mut self, known: &[&str]) -> Result<usize, Error> {
        let value = self.string()?;
        match known.iter().position(|name| *name == value) {
            Some(index) => Ok(index),
            None => Err(Error::unknown_value(&value, known)),
        }
    }

    /// Steps over a value of any kind.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn skip(&mut self) -> Result<(), Error> {
        match self.kind()? {
            Kind::Null => self.null(),
            Kind::Bool => self.boolean().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::String => self.string().map(drop),
            Kind::Array => {
                self.enter(b'[')?;
                let mut first = true;
                while self.more(b']', &mut first)? {
                    self.skip()?;
                }
                Ok(())
            }
            Kind::Object => {
                self.enter(b'{')?;
                let mut first = true;
                while self.more(b'}', &mut first)? {
                    self.key()?;
                    self.skip()?;
                }
                Ok(())
            }
        }
    }

    /// Enters an array or an object.
    pub(crate) fn enter(&mut self, bracket: u8) -> Result<(), Error> {
        if bracket == b'{' {
            self.is(Kind::Object, "an object")?;
        } else {
            self.is(Kind::Array, "an array")?;
        }
        if self.depth == DEPTH_MAX {
            return Err(Error::new("is nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Whether another element or field follows: then the comma before it is taken, else the closing bracket.
    pub(crate) fn more(&mut self, bracket: u8, first: &mut bool) -> Result<bool, Error> {
        self.space();
        if self.take(bracket) {
            self.depth -= 1;
            return Ok(false);
        }
        if !*first {
            self.expect(b',')?;
        }
        *first = false;
        Ok(true)
    }

    /// The name of a field, and the colon behind it.
    pub(crate) fn key(&mut self) -> Result<String, Error> {
        let key = self.quoted()?;
        self.expect(b':')?;
        Ok(key)
    }

    fn is(&mut self, kind: Kind, wanted: &str) -> Result<(), Error> {
        let found = self.kind()?;
        if found == kind {
            return Ok(());
        }
        Err(found.instead_of(wanted))
    }

    /// The string that comes next, unescaped.
    fn quoted(&mut self) -> Result<String, Error> {
        self.expect(b'"')?;
        let mut value = String::new();
        loop {
            let start = self.at;
            while !matches!(self.peek(), 0..b' ' | b'"' | b'\\') {
                self.at += 1;
            }
            // Both ends are next to ASCII characters, so they are character boundaries.
            value.push_str(self.text.get(start..self.at).unwrap_or_default());
            if self.take(b'"') {
                return Ok(value);
            }
            self.expect_here(b'\\')?;
            let escape = self.peek();
            self.at += 1;
            value.push(match escape {
                b'"' | b'\\' | b'/' => char::from(escape),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.unicode()?,
                _ => return Err(self.syntax()),
            });
        }
    }

    /// The character of `\uXXXX`, or of the two that make a surrogate pair.
    fn unicode(&mut self) -> Result<char, Error> {
        let mut code = self.hex()?;
        if (0xd800..0xdc00).contains(&code) {
            self.word("\\u")?;
            // What is no second half gives no character.
            let low = self.hex()?.wrapping_sub(0xdc00);
            code = if low < 0x400 {
                0x10000 + ((code - 0xd800) << 10) + low
            } else {
                u32::MAX
            };
        }
        char::from_u32(code).ok_or_else(|| self.syntax())
    }

    fn hex(&mut self) -> Result<u32, Error> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = char::from(self.peek()).to_digit(16) else {
                return Err(self.syntax());
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start {
            return Ok(());
        }
        Err(self.syntax())
    }

    fn word(&mut self, word: &str) -> Result<(), Error> {
        for byte in word.bytes() {
            self.expect_here(byte)?;
        }
        Ok(())
    }

    /// Takes one character, which must come next after white space.
    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        self.space();
        self.expect_here(byte)
    }

    fn expect_here(&mut self, byte: u8) -> Result<(), Error> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.syntax())
    }

    fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == byte;
        self.at += usize::from(here);
        here
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// The next byte; zero at the end, because no JSON has one: its strings escape it.
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    #[cold]
    fn syntax(&self) -> Error {
        // An escape may have stepped over the end.
        Error::syntax(self.at.min(self.text.len()))
    }
}
