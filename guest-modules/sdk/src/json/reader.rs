//! The lexical half: steps through the text, knows JSON's grammar (RFC 8259) and nothing of serde.

use serde::de::Error as _;

use super::error::Error;

/// How deep arrays and objects may nest. A guest's stack is small.
const DEPTH_MAX: u8 = 64;

/// The kind of the value that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// The error for a value of this kind where another is wanted, in the words of a user: serde's would
    /// name Rust types.
    pub(super) fn instead_of(self, wanted: &str) -> Error {
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
pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: u8,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// The position after white space, in bytes.
    pub(super) fn position(&mut self) -> usize {
        self.space();
        self.at
    }

    /// The string at an earlier position, empty if there is none.
    pub(super) fn string_at(&self, at: usize) -> String {
        Reader {
            text: self.text,
            at,
            depth: 0,
        }
        .string()
        .unwrap_or_default()
    }

    /// Succeeds when nothing follows.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    /// The kind of the next value.
    pub(super) fn kind(&mut self) -> Result<Kind, Error> {
        self.space();
        match self.peek() {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::String),
            Some(b'[') => Ok(Kind::Array),
            Some(b'{') => Ok(Kind::Object),
            _ => Err(self.syntax()),
        }
    }

    pub(super) fn null(&mut self) -> Result<(), Error> {
        self.word("null")
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Error> {
        let truth = self.peek() == Some(b't');
        self.word(if truth { "true" } else { "false" })
            .map(|()| truth)
    }

    /// Whether the number that comes next has neither fraction nor exponent.
    pub(super) fn is_integer(&self) -> bool {
        let mut ahead = Reader {
            text: self.text,
            at: self.at,
            depth: 0,
        };
        ahead.number().is_ok_and(|number| {
            number
                .bytes()
                .all(|byte| byte == b'-' || byte.is_ascii_digit())
        })
    }

    /// The text of the number that comes next.
    pub(super) fn number(&mut self) -> Result<&'t str, Error> {
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
        self.text.get(start..self.at).ok_or_else(|| self.syntax())
    }

    /// The string that comes next, unescaped.
    pub(super) fn string(&mut self) -> Result<String, Error> {
        self.expect(b'"')?;
        let mut value = String::new();
        loop {
            let start = self.at;
            while self
                .peek()
                .is_some_and(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
            {
                self.at += 1;
            }
            // Both ends are next to ASCII characters, so they are character boundaries.
            value.push_str(self.text.get(start..self.at).unwrap_or_default());
            if self.take(b'"') {
                return Ok(value);
            }
            if !self.take(b'\\') {
                return Err(self.syntax());
            }
            let escape = self.peek().ok_or_else(|| self.syntax())?;
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

    /// Enters an array or an object.
    pub(super) fn open(&mut self, bracket: u8) -> Result<(), Error> {
        if self.depth == DEPTH_MAX {
            return Err(Error::custom("is nested too deeply"));
        }
        self.depth += 1;
        self.expect(bracket)
    }

    /// Leaves an array or an object.
    pub(super) fn close(&mut self, bracket: u8) -> Result<(), Error> {
        self.space();
        if self.peek() == Some(b',') {
            return Err(Error::custom("has more elements than expected"));
        }
        self.depth -= 1;
        self.expect(bracket)
    }

    /// Whether another element or field follows; takes the comma before it.
    pub(super) fn more(&mut self, bracket: u8, first: bool) -> Result<bool, Error> {
        self.space();
        if self.peek() == Some(bracket) {
            return Ok(false);
        }
        if !first {
            self.expect(b',')?;
            self.space();
        }
        Ok(true)
    }

    /// Takes one character, which must come next.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Error> {
        self.space();
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    /// Steps over a value of any kind.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        match self.kind()? {
            Kind::Null => self.null(),
            Kind::Bool => self.boolean().map(|_| ()),
            Kind::Number => self.number().map(|_| ()),
            Kind::String => self.string().map(|_| ()),
            Kind::Array => {
                self.open(b'[')?;
                let mut first = true;
                while self.more(b']', first)? {
                    first = false;
                    self.skip()?;
                }
                self.close(b']')
            }
            Kind::Object => {
                self.open(b'{')?;
                let mut first = true;
                while self.more(b'}', first)? {
                    first = false;
                    self.string()?;
                    self.expect(b':')?;
                    self.skip()?;
                }
                self.close(b'}')
            }
        }
    }

    /// The character of `\uXXXX`, or of the two that make a surrogate pair.
    fn unicode(&mut self) -> Result<char, Error> {
        let high = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&high) {
            self.word("\\u")?;
            let low = self.hex()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(self.syntax());
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).ok_or_else(|| self.syntax())
    }

    fn hex(&mut self) -> Result<u32, Error> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.syntax())?;
            self.at += 1;
        }
        Ok(code)
    }

    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Error> {
        if self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            self.at += word.len();
            return Ok(());
        }
        Err(self.syntax())
    }

    fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn syntax(&self) -> Error {
        Error::custom(format_args!("is not JSON at byte {}", self.at))
    }
}
