//! The parts of a key URI: `scheme:name=value;name=value?name=value&name=value`, RFC 7512 §2.3, a form
//! that all our schemes share.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str};
use zeroize::Zeroizing;

use crate::error::{Error, Reason, Result};
use crate::pin::Pin;

/// What stays as it is in an attribute value: RFC 3986's unreserved characters, and nothing of RFC
/// 7512's `pk11-res-avail` that a shell or a configuration file would take amiss.
pub const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One `name=value` with its place in the URI.
pub struct Part<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
    pub in_query: bool,
    /// Of the name, in bytes from the start of the URI.
    position: usize,
    /// What describes the syntax.
    syntax: &'static str,
    /// It comes after a PIN, and may be a part of that.
    after_pin: bool,
}

/// The attributes of a URI: `text` is what follows `scheme:`. None comes twice.
pub fn attributes<'a>(scheme: &str, syntax: &'static str, text: &'a str) -> Result<Vec<Part<'a>>> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let start = scheme.len() + 1;
    let in_path = parts(path, ';', start);
    let in_query = parts(query, '&', start + path.len() + 1);
    let part = |in_query| {
        move |(position, text): (usize, &'a str)| {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            };
            Part {
                name,
                value,
                in_query,
                position,
                syntax,
                after_pin: false,
            }
        }
    };
    let mut all: Vec<Part<'_>> = in_path
        .map(part(false))
        .chain(in_query.map(part(true)))
        .collect();
    let pin = all.iter().position(|part| part.name.ends_with("pin-value"));
    for part in all.iter_mut().skip(pin.map_or(usize::MAX, |pin| pin + 1)) {
        part.after_pin = true;
    }
    for (index, part) in all.iter().enumerate() {
        if all[..index].iter().any(|earlier| earlier.name == part.name) {
            return Err(part.malformed("is given twice"));
        }
    }
    Ok(all)
}

/// Each part with its position. An empty path ("pkcs11:") and a trailing separator are harmless.
fn parts(text: &str, separator: char, start: usize) -> impl Iterator<Item = (usize, &str)> {
    let mut position = start;
    text.split(separator).filter_map(move |part| {
        let at = position;
        position += part.len() + 1;
        (!part.is_empty()).then_some((at, part))
    })
}

impl Part<'_> {
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let value = self.value.ok_or_else(|| self.malformed("has no value"))?;
        self.decoded(value, self.position + self.name.len() + 1)
    }

    /// What stands in the name's place, where that is a value itself.
    pub fn own_text(&self) -> Result<String> {
        self.utf8(self.decoded(self.name, self.position)?)
    }

    fn decoded(&self, value: &str, offset: usize) -> Result<Vec<u8>> {
        for (index, _) in value.match_indices('%') {
            let digits = value.as_bytes().get(index + 1..index + 3);
            if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                return Err(Error::new(
                    Reason::InvalidUri,
                    format!(
                        "attribute \"{}\": % without two hexadecimal digits at character {}; \
                         write %25 for a percent sign",
                        self.name,
                        offset + index + 1
                    ),
                ));
            }
        }
        Ok(percent_decode_str(value).collect())
    }

    pub fn text(&self) -> Result<String> {
        self.utf8(self.bytes()?)
    }

    fn utf8(&self, bytes: Vec<u8>) -> Result<String> {
        String::from_utf8(bytes).map_err(|_| self.malformed("is not UTF-8"))
    }

    pub fn number(&self) -> Result<u64> {
        let text = self.text()?;
        text.parse()
            .map_err(|_| self.malformed("is not a decimal number"))
    }

    /// A PIN, which may be empty.
    pub fn pin(&self) -> Result<Pin> {
        let value = Zeroizing::new(self.bytes()?);
        Pin::copied(&value).ok_or_else(|| self.malformed("is too long for a PIN"))
    }

    /// Where a PIN comes from. It is not looked into before it is needed.
    pub fn pin_source(&self) -> Result<String> {
        let source = self.text()?;
        if source.starts_with('|') {
            return Err(self.malformed(
                "names a command, which hwkey never runs; use file:, env: or credential:",
            ));
        }
        Ok(source)
    }

    /// Says what is wrong, never the value: it may be a PIN.
    pub fn malformed(&self, problem: &str) -> Error {
        let (name, position, syntax) = (self.shown(), self.position + 1, self.syntax);
        Error::new(
            Reason::InvalidUri,
            format!("attribute \"{name}\" at character {position} {problem} ({syntax})"),
        )
    }

    /// The name, unless a PIN with an "&" in it may have been taken apart.
    fn shown(&self) -> &str {
        match self.after_pin {
            true => "(not shown; & in a PIN is %26)",
            false => self.name,
        }
    }

    /// There is no such attribute; `hint` says which there are.
    pub fn unknown(&self, hint: &str) -> Error {
        let (name, position) = (self.shown(), self.position + 1);
        Error::new(
            Reason::InvalidUri,
            format!("unknown attribute \"{name}\" at character {position}; {hint}"),
        )
    }
}
