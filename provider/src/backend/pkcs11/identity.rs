//! What a token is known by, and whether a URI means it.

use std::fmt;

use cryptoki::slot::TokenInfo;

use super::module::Present;
use crate::error::Result;
use crate::uri::pkcs11::{Pkcs11Uri, TokenPattern};

/// What a token is known by. Slot numbers change; this does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub label: String,
    pub manufacturer: String,
    pub model: String,
    pub serial: String,
}

impl Identity {
    pub fn of(info: &TokenInfo) -> Self {
        Self {
            label: info.label().into(),
            manufacturer: info.manufacturer_id().into(),
            model: info.model().into(),
            serial: info.serial_number().into(),
        }
    }

    /// The URI that picks out this token.
    pub fn uri(&self, is_removable: bool) -> Pkcs11Uri {
        let attribute = |text: &String| (!text.is_empty()).then(|| text.clone());
        // OpenSC calls a PIV card after its certificate in 9a, which is renewed.
        let has_lasting_name = !is_removable || self.serial.is_empty();
        Pkcs11Uri {
            token: TokenPattern {
                token: attribute(&self.label).filter(|_| has_lasting_name),
                manufacturer: attribute(&self.manufacturer),
                serial: attribute(&self.serial),
                model: attribute(&self.model),
                ..TokenPattern::default()
            },
            ..Pkcs11Uri::default()
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "token \"{}\" ({}, serial {})",
            self.label, self.manufacturer, self.serial
        )
    }
}

/// Whether `present` is what the pattern asks for.
pub fn matches(pattern: &TokenPattern, present: &Present) -> Result<bool> {
    let (info, slot) = (&present.info, &present.slot_info);
    let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|text| text == is);
    let token = same(&pattern.token, info.label())
        && same(&pattern.manufacturer, info.manufacturer_id())
        && same(&pattern.serial, info.serial_number())
        && same(&pattern.model, info.model())
        && same(&pattern.slot_manufacturer, slot.manufacturer_id())
        && same(&pattern.slot_description, slot.slot_description())
        && pattern.slot_id.is_none_or(|id| id == present.slot.number());
    let asks_for_library = pattern.library_manufacturer.is_some()
        || pattern.library_description.is_some()
        || pattern.library_version.is_some();
    if !token || !asks_for_library {
        return Ok(token);
    }
    let library = present.token.module.library_info()?;
    let version = library.library_version();
    let version_matches = pattern.library_version.as_deref().is_none_or(|text| {
        text == version.to_string() || (version.minor() == 0 && text == version.major().to_string())
    });
    Ok(version_matches
        && same(&pattern.library_manufacturer, library.manufacturer_id())
        && same(&pattern.library_description, library.library_description()))
}
