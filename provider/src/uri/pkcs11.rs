//! `pkcs11:` URIs, RFC 7512.

use std::fmt;

use percent_encoding::percent_encode;

use super::part::{ESCAPED, Part, attributes};
use crate::error::{Error, Result};
use crate::pin::Pin;

pub const SCHEME: &str = "pkcs11";

/// What messages about a URI of this scheme refer to.
const SYNTAX: &str = "RFC 7512 §2.3";

/// A PKCS#11 URI. What it doesn't name matches anything.
#[derive(Default)]
pub struct Pkcs11Uri {
    pub token: TokenPattern,
    /// CKA_LABEL, any bytes.
    pub object: Option<Vec<u8>>,
    /// CKA_ID.
    pub id: Option<Vec<u8>>,
    pub object_type: Option<ObjectType>,
    pub pin_value: Option<Pin>,
    /// Not looked into before it is needed.
    pub pin_source: Option<String>,
    pub module_path: Option<String>,
    pub module_name: Option<String>,
}

/// The part of a URI that picks out a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenPattern {
    pub token: Option<String>,
    pub manufacturer: Option<String>,
    pub serial: Option<String>,
    pub model: Option<String>,
    pub library_manufacturer: Option<String>,
    pub library_description: Option<String>,
    pub library_version: Option<String>,
    pub slot_manufacturer: Option<String>,
    pub slot_description: Option<String>,
    pub slot_id: Option<u64>,
}

/// The `type` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectType {
    Private,
    Public,
    Certificate,
}

impl Pkcs11Uri {
    /// Parses what follows `pkcs11:`.
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

    /// The first attribute that names a file or module.
    pub fn path_attribute(&self) -> Option<&'static str> {
        [
            ("pin-source", self.pin_source.is_some()),
            ("module-path", self.module_path.is_some()),
            ("module-name", self.module_name.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }

    /// Whether it names an object, or only a token.
    pub fn names_object(&self) -> bool {
        self.object.is_some() || self.id.is_some()
    }

    fn set_path(&mut self, part: &Part<'_>) -> Result<()> {
        let token = &mut self.token;
        match part.name {
            "token" => token.token = Some(part.text()?),
            "manufacturer" => token.manufacturer = Some(part.text()?),
            "serial" => token.serial = Some(part.text()?),
            "model" => token.model = Some(part.text()?),
            "library-manufacturer" => token.library_manufacturer = Some(part.text()?),
            "library-description" => token.library_description = Some(part.text()?),
            "library-version" => token.library_version = Some(part.text()?),
            "slot-manufacturer" => token.slot_manufacturer = Some(part.text()?),
            "slot-description" => token.slot_description = Some(part.text()?),
            "slot-id" => token.slot_id = Some(part.number()?),
            "object" => self.object = Some(part.bytes()?),
            "id" => self.id = Some(part.bytes()?),
            "type" => self.object_type = Some(object_type(part)?),
            _ => return Err(unknown(part)),
        }
        Ok(())
    }

    fn set_query(&mut self, part: &Part<'_>) -> Result<()> {
        match part.name {
            "pin-value" => {
                let pin = part.pin()?;
                if pin.is_empty() {
                    // Sent to the token it would cost a try.
                    return Err(part.malformed("is empty"));
                }
                self.pin_value = Some(pin);
            }
            "pin-source" => self.pin_source = Some(part.pin_source()?),
            "module-path" => self.module_path = Some(part.text()?),
            "module-name" => self.module_name = Some(part.text()?),
            _ => return Err(unknown(part)),
        }
        Ok(())
    }
}

/// Writes the path attributes, never the query: no PIN, no file, no module.
impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = &self.token;
        let mut attributes: Vec<(&str, Vec<u8>)> = Vec::new();
        let mut text = |name, value: &Option<String>| {
            attributes.extend(value.iter().map(|text| (name, text.clone().into_bytes())));
        };
        text("model", &token.model);
        text("manufacturer", &token.manufacturer);
        text("serial", &token.serial);
        text("token", &token.token);
        text("library-manufacturer", &token.library_manufacturer);
        text("library-description", &token.library_description);
        text("library-version", &token.library_version);
        text("slot-manufacturer", &token.slot_manufacturer);
        text("slot-description", &token.slot_description);
        text("slot-id", &token.slot_id.map(|id| id.to_string()));
        attributes.extend(self.id.clone().map(|id| ("id", id)));
        attributes.extend(self.object.clone().map(|label| ("object", label)));
        let object_type = self.object_type.map(|object_type| match object_type {
            ObjectType::Private => "private",
            ObjectType::Public => "public",
            ObjectType::Certificate => "cert",
        });
        attributes.extend(object_type.map(|name| ("type", name.into())));

        write!(f, "{SCHEME}:")?;
        for (index, (name, value)) in attributes.iter().enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            write!(f, "{separator}{name}=")?;
            if *name == "id" {
                // RFC 7512 §2.3: an id is bytes, so every one is escaped.
                value.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
            } else {
                write!(f, "{}", percent_encode(value, ESCAPED))?;
            }
        }
        Ok(())
    }
}

fn object_type(part: &Part<'_>) -> Result<ObjectType> {
    match part.value {
        Some("private") => Ok(ObjectType::Private),
        Some("public") => Ok(ObjectType::Public),
        Some("cert") => Ok(ObjectType::Certificate),
        _ => Err(part.malformed("must be private, public or cert")),
    }
}

fn unknown(part: &Part<'_>) -> Error {
    let name = part.name;
    if name.starts_with("pin-") || name.starts_with("module-") {
        return part.unknown("it belongs behind a \"?\"");
    }
    part.unknown(
        "RFC 7512 has token, manufacturer, serial, model, object, id, type, slot-id, \
         slot-manufacturer, slot-description, library-manufacturer, library-description, \
         library-version, and after \"?\" pin-source, pin-value, module-path, module-name, \
         separated by \"&\"",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Pkcs11Uri> {
        Pkcs11Uri::parse(text.strip_prefix("pkcs11:").unwrap())
    }

    fn message(text: &str) -> String {
        match parse(text) {
            Ok(_) => panic!("{text} was accepted"),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn every_attribute_of_the_rfc_is_understood() {
        let uri = parse(
            "pkcs11:token=a%20b;manufacturer=m;serial=1;model=x;library-manufacturer=lm;\
             library-description=ld;library-version=2.6;slot-manufacturer=sm;\
             slot-description=sd;slot-id=7;object=k%3b;id=%00%ff;type=private\
             ?pin-value=12%2634&pin-source=file:/p&module-path=/m.so&module-name=m",
        )
        .unwrap();
        assert_eq!(uri.token.token.as_deref(), Some("a b"));
        assert_eq!(uri.token.slot_id, Some(7));
        assert_eq!(uri.object.as_deref(), Some(&b"k;"[..]));
        assert_eq!(uri.id.as_deref(), Some(&[0, 255][..]));
        assert_eq!(uri.object_type, Some(ObjectType::Private));
        assert_eq!(&**uri.pin_value.as_ref().unwrap(), b"12&34");
        assert_eq!(uri.module_name.as_deref(), Some("m"));
        assert_eq!(uri.path_attribute(), Some("pin-source"));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        assert!(message("pkcs11:objct=x").contains("unknown attribute \"objct\" at character 8"));
        assert!(message("pkcs11:token=a;pin-value=1").contains("belongs behind a \"?\""));
        assert!(message("pkcs11:token=a%2").contains("at character 15"));
        assert!(message("pkcs11:token=%zz").contains("at character 14"));
        assert!(message("pkcs11:token=a;token=b").contains("given twice"));
        assert!(message("pkcs11:type=secret").contains("private, public or cert"));
        assert!(message("pkcs11:slot-id=x").contains("decimal"));
        assert!(message("pkcs11:token").contains("has no value"));
        assert!(message("pkcs11:token=%ff").contains("not UTF-8"));
        assert!(message("pkcs11:token=a?pin-source=|cat").contains("never runs"));
    }

    #[test]
    fn messages_and_written_uris_hold_no_pin() {
        let uri = parse("pkcs11:token=a?pin-value=123456&pin-source=file:/secret").unwrap();
        assert_eq!(uri.to_string(), "pkcs11:token=a");
        assert!(!message("pkcs11:token=a?pin-value=12%3456%").contains("3456"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC*") {
            let _ = Pkcs11Uri::parse(&text);
        }

        #[test]
        fn written_uris_read_back(
            token in ".{0,32}",
            object in proptest::collection::vec(any::<u8>(), 0..40),
            id in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let uri = Pkcs11Uri {
                token: TokenPattern { token: Some(token), ..TokenPattern::default() },
                object: Some(object),
                id: Some(id),
                object_type: Some(ObjectType::Private),
                ..Pkcs11Uri::default()
            };
            let again = parse(&uri.to_string()).unwrap();
            prop_assert_eq!(again.token, uri.token);
            prop_assert_eq!(again.object, uri.object);
            prop_assert_eq!(again.id, uri.id);
        }
    }
}
