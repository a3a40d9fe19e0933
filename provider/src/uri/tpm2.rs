//! `tpm2:` URIs, in RFC 7512's form, and tpm2-openssl's `handle:` and `object:`.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, percent_encode};

use super::part::{ESCAPED, Part, attributes};
use crate::error::{Error, Result};
use crate::pin::Pin;

pub const SCHEME: &str = "tpm2";

/// tpm2-openssl's scheme for persistent objects and NV indices: `handle:0x81000001`.
pub const HANDLE_SCHEME: &str = "handle";

/// tpm2-openssl's scheme for files: `object:key.ctx`.
pub const OBJECT_SCHEME: &str = "object";

/// What messages about a URI of this scheme refer to.
const SYNTAX: &str = "docs/tpm2.md";

const KNOWN: &str = "tpm2: has handle=0x81…, object=FILE, nv=0x01…, parent=owner (or endorsement, \
                     platform, null, 0x81…), and after \"?\" pin-source, pin-value, \
                     parent-pin-source, parent-pin-value, separated by \"&\"";

/// A path is easier to read with its slashes.
const ESCAPED_IN_PATHS: &AsciiSet = &ESCAPED.remove(b'/');

/// Something in a TPM, or a TPM as a whole.
#[derive(Default)]
pub struct Tpm2Uri {
    pub object: Option<Tpm2Object>,
    /// What a new key is made under.
    pub parent: Option<Tpm2Parent>,
    /// An empty value says that the object has no authorisation value.
    pub pin_value: Option<Pin>,
    /// Not looked into before it is needed.
    pub pin_source: Option<String>,
    /// tpm2-openssl's `?pass`: the program is to be asked.
    pub asks: bool,
    pub parent_pin_value: Option<Pin>,
    pub parent_pin_source: Option<String>,
}

/// What is meant in the TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tpm2Object {
    /// A persistent object.
    Handle(u32),
    /// An NV index, with a certificate.
    Nv(u32),
    /// A file: a TSS2 PRIVATE KEY, or a context that tpm2-tools saved.
    File(PathBuf),
}

/// A parent by name or handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tpm2Parent {
    Owner,
    Endorsement,
    Platform,
    Null,
    Handle(u32),
}

impl Tpm2Uri {
    /// Parses what follows `tpm2:`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut uri = Self::default();
        for part in attributes(SCHEME, SYNTAX, text)? {
            match part.in_query {
                true => uri.set_query(&part)?,
                false => uri.set_path(&part)?,
            }
        }
        Ok(uri)
    }

    /// Parses what follows `handle:`.
    pub fn parse_handle(text: &str) -> Result<Self> {
        let (number, query) = text.split_once('?').unwrap_or((text, ""));
        let nv = number.trim_start_matches("0x").trim_start_matches('0');
        let name = match nv.len() == 7 && nv.starts_with('1') {
            true => "nv",
            false => "handle",
        };
        Self::parse(&format!("{name}={number}?{query}"))
    }

    /// Parses what follows `object:`.
    pub fn parse_object(text: &str) -> Result<Self> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = percent_encode(path.as_bytes(), ESCAPED_IN_PATHS);
        Self::parse(&format!("object={path}?{query}"))
    }

    /// The first attribute that names a file.
    pub fn path_attribute(&self) -> Option<&'static str> {
        let is_file = matches!(self.object, Some(Tpm2Object::File(_)));
        [
            ("tpm2:object", is_file),
            ("pin-source", self.pin_source.is_some()),
            ("parent-pin-source", self.parent_pin_source.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }

    /// Whether it says itself where the authorisation value comes from.
    pub fn has_pin(&self) -> bool {
        self.pin_value.is_some() || self.pin_source.is_some() || self.asks
    }

    fn set_path(&mut self, part: &Part<'_>) -> Result<()> {
        let object = match part.name {
            "handle" => Tpm2Object::Handle(handle(part)?),
            "nv" => Tpm2Object::Nv(nv_index(part)?),
            "object" => Tpm2Object::File(file(part)?),
            "parent" => {
                self.parent = Some(parent(part)?);
                return Ok(());
            }
            name if name.starts_with("pin-") || name.starts_with("parent-") => {
                return Err(part.unknown("it belongs behind a \"?\""));
            }
            _ => return Err(part.unknown(KNOWN)),
        };
        if self.object.is_some() {
            return Err(part.malformed("is one of handle, nv and object too many"));
        }
        self.object = Some(object);
        Ok(())
    }

    fn set_query(&mut self, part: &Part<'_>) -> Result<()> {
        match part.name {
            "pin-value" => self.pin_value = Some(part.pin()?),
            "pin-source" => self.pin_source = Some(part.pin_source()?),
            "pass" if part.value.is_none() => self.asks = true,
            "parent-pin-value" => self.parent_pin_value = Some(part.pin()?),
            "parent-pin-source" => self.parent_pin_source = Some(part.pin_source()?),
            _ => return Err(part.unknown(KNOWN)),
        }
        Ok(())
    }
}

/// Writes the path attributes, never the query: no authorisation value, and no file that has one.
impl fmt::Display for Tpm2Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}:")?;
        if let Some(object) = &self.object {
            write!(f, "{object}")?;
        }
        match (&self.parent, &self.object) {
            (Some(parent), None) => write!(f, "parent={parent}"),
            (Some(parent), Some(_)) => write!(f, ";parent={parent}"),
            (None, _) => Ok(()),
        }
    }
}

/// As an attribute of a URI.
impl fmt::Display for Tpm2Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle(handle) => write!(f, "handle=0x{handle:08x}"),
            Self::Nv(index) => write!(f, "nv=0x{index:08x}"),
            Self::File(path) => write!(f, "object={}", escaped(path)),
        }
    }
}

impl fmt::Display for Tpm2Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("owner"),
            Self::Endorsement => f.write_str("endorsement"),
            Self::Platform => f.write_str("platform"),
            Self::Null => f.write_str("null"),
            Self::Handle(handle) => write!(f, "0x{handle:08x}"),
        }
    }
}

fn escaped(path: &Path) -> impl fmt::Display + '_ {
    use std::os::unix::ffi::OsStrExt;
    percent_encode(path.as_os_str().as_bytes(), ESCAPED_IN_PATHS)
}

fn file(part: &Part<'_>) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let bytes = part.bytes()?;
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(part.malformed("is no path"));
    }
    Ok(std::ffi::OsString::from_vec(bytes).into())
}

fn parent(part: &Part<'_>) -> Result<Tpm2Parent> {
    Ok(match part.value {
        Some("owner") => Tpm2Parent::Owner,
        Some("endorsement") => Tpm2Parent::Endorsement,
        Some("platform") => Tpm2Parent::Platform,
        Some("null") => Tpm2Parent::Null,
        _ => {
            let handle = number(part)?.filter(|number| number >> 24 == 0x81);
            let problem =
                "is none of owner, endorsement, platform, null and 0x81…, a persistent handle";
            Tpm2Parent::Handle(handle.ok_or_else(|| part.malformed(problem))?)
        }
    })
}

/// TPM_HT_PERSISTENT, TPM 2.0 Library part 2, 7.2.
fn handle(part: &Part<'_>) -> Result<u32> {
    number(part)?
        .filter(|number| number >> 24 == 0x81)
        .ok_or_else(|| part.malformed("is no persistent handle, 0x81000000 to 0x81ffffff"))
}

/// TPM_HT_NV_INDEX.
fn nv_index(part: &Part<'_>) -> Result<u32> {
    number(part)?
        .filter(|number| number >> 24 == 0x01)
        .ok_or_else(|| part.malformed("is no NV index, 0x01000000 to 0x01ffffff"))
}

/// Hexadecimal after `0x`, as all tools write handles, or decimal.
fn number(part: &Part<'_>) -> std::result::Result<Option<u32>, Error> {
    let text = part.text()?;
    Ok(match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        // from_str_radix takes a sign.
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(text: &str) -> String {
        match Tpm2Uri::parse(text) {
            Ok(_) => panic!("{text} was accepted"),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn objects_are_named_by_handle_file_and_index() {
        let object = |text| Tpm2Uri::parse(text).unwrap().object.unwrap();
        assert_eq!(object("handle=0x81000001"), Tpm2Object::Handle(0x8100_0001));
        assert_eq!(object("handle=2164260865"), Tpm2Object::Handle(0x8100_0001));
        assert_eq!(object("nv=0x1c00002"), Tpm2Object::Nv(0x01c0_0002));
        assert_eq!(object("object=/a%20b"), Tpm2Object::File("/a b".into()));
        assert!(Tpm2Uri::parse("").unwrap().object.is_none());
    }

    #[test]
    fn what_tpm2_openssl_writes_is_understood() {
        let handle = Tpm2Uri::parse_handle("0x81000001?pass").unwrap();
        assert_eq!(handle.to_string(), "tpm2:handle=0x81000001");
        assert!(handle.asks);
        let nv = Tpm2Uri::parse_handle("0x01C00002").unwrap();
        assert_eq!(nv.to_string(), "tpm2:nv=0x01c00002");
        let object = Tpm2Uri::parse_object("/a b/k.ctx").unwrap();
        assert_eq!(object.to_string(), "tpm2:object=/a%20b/k.ctx");
        assert!(Tpm2Uri::parse_handle("0x40000001").is_err());
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        assert!(message("handle=0x80000001").contains("no persistent handle"));
        assert!(message("handle=0x+1000001").contains("no persistent handle"));
        assert!(message("nv=0x81000001").contains("no NV index"));
        assert!(message("handle=0x81000001;nv=0x01c00002").contains("too many"));
        assert!(message("handel=1").contains("unknown attribute \"handel\" at character 6"));
        assert!(message("handle=0x81000001;pin-value=1").contains("belongs behind a \"?\""));
        assert!(message("object=").contains("is no path"));
        assert!(message("?pin-source=|cat").contains("never runs"));
        assert!(message("parent=nobody").contains("is none of owner, "));
    }

    #[test]
    fn messages_and_written_uris_hold_no_authorisation_value() {
        let uri = "handle=0x81000001?pin-value=secret&parent-pin-value=secret&pin-source=file:/s";
        let uri = Tpm2Uri::parse(uri).unwrap();
        assert_eq!(uri.to_string(), "tpm2:handle=0x81000001");
        assert!(!message("?pin-value=a&geheim").contains("geheim"));
        assert_eq!(uri.path_attribute(), Some("pin-source"));
        assert!(uri.has_pin() && uri.parent_pin_value.is_some());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC*") {
            let _ = Tpm2Uri::parse(&text);
            let _ = Tpm2Uri::parse_handle(&text);
            let _ = Tpm2Uri::parse_object(&text);
        }

        #[test]
        fn written_uris_read_back(handle in 0x8100_0000u32..0x8200_0000, path in "/\\PC{1,40}") {
            for object in [Tpm2Object::Handle(handle), Tpm2Object::File(path.into())] {
                let uri = Tpm2Uri { object: Some(object), ..Tpm2Uri::default() };
                let text = uri.to_string();
                let again = Tpm2Uri::parse(text.strip_prefix("tpm2:").unwrap()).unwrap();
                prop_assert_eq!(again.object, uri.object);
            }
        }
    }
}
