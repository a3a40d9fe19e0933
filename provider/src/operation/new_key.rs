//! What a program says of a key that is to be made (`openssl genpkey -pkeyopt`).

use std::ffi::CStr;

use ossl_shim::Selection;
use ossl_shim::params::{ParamsIn, names};

use crate::error::{Error, Reason, Result};
use crate::key::Curve;
use crate::provider::NOT_A_KEY_MAKER;
use crate::uri::Uri;

/// Where the key is to be made, as a URI. Without it OpenSSL has come to us by mistake.
pub const HWKEY_URI: &CStr = c"hwkey_uri";

/// The parameters of all key types; those that were not given are `None`.
pub struct NewKeyParams {
    only_parameters: bool,
    uri: Option<Uri>,
    group: Option<String>,
    bits: Option<usize>,
    exponent: Option<u32>,
}

impl NewKeyParams {
    pub fn new(selection: Selection) -> Self {
        Self {
            only_parameters: selection.only_parameters(),
            uri: None,
            group: None,
            bits: None,
            exponent: None,
        }
    }

    /// Takes what it knows; as OpenSSL's own types do, it leaves the rest.
    pub fn set(&mut self, params: &ParamsIn<'_>) -> Result<()> {
        if let Some(text) = params.utf8(HWKEY_URI)? {
            self.uri = Some(Uri::parse(text)?);
        }
        if let Some(group) = params.utf8(names::KEY_GROUP_NAME)? {
            self.group = Some(group.to_owned());
        }
        if let Some(bits) = params.int(names::KEY_BITS)? {
            // What is no size becomes one that no hardware makes.
            self.bits = Some(usize::try_from(bits).unwrap_or(0));
        }
        if let Some(exponent) = params.big_number(names::KEY_RSA_E)? {
            self.exponent = Some(small(&exponent)?);
        }
        Ok(())
    }

    /// Where the key is to be made.
    pub fn uri(&self) -> Result<&Uri> {
        let uri = self.uri.as_ref().ok_or_else(|| {
            Error::new(Reason::NotForSoftwareKeys, NOT_A_KEY_MAKER)
                .stopping("making a key (for one in hardware add -pkeyopt hwkey_uri:tpm2: or hwkey_uri:parsec:NAME)")
        })?;
        match self.only_parameters {
            true => Err(Error::new(
                Reason::InvalidParameter,
                "hwkey makes keys, not parameters: leave out -genparam",
            )),
            false => Ok(uri),
        }
    }

    pub fn curve(&self) -> Result<Curve> {
        let name = self.group.as_deref().ok_or_else(|| {
            Error::new(
                Reason::InvalidParameter,
                "an EC key needs a curve, such as -pkeyopt ec_paramgen_curve:P-256",
            )
        })?;
        Curve::by_group_name(name).ok_or_else(|| unknown_curve(name))
    }

    pub fn bits(&self) -> usize {
        self.bits.unwrap_or(2048)
    }

    pub fn exponent(&self) -> Option<u32> {
        self.exponent
    }
}

/// OpenSSL has more curves.
#[track_caller]
pub fn unknown_curve(name: &str) -> Error {
    let known: Vec<String> = Curve::ALL.iter().map(ToString::to_string).collect();
    Error::new(
        Reason::UnsupportedKey,
        format!(
            "an EC key on the curve {name}; hwkey knows {}",
            known.join(", ")
        ),
    )
}

/// A big-endian number of four bytes or less.
fn small(number: &[u8]) -> Result<u32> {
    let mut bytes = [0; 4];
    let start = bytes.len().checked_sub(number.len()).ok_or_else(|| {
        Error::new(
            Reason::InvalidParameter,
            "a public exponent of more than 32 bits; hwkey makes keys with smaller ones only",
        )
    })?;
    bytes[start..].copy_from_slice(number);
    Ok(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_numbers_of_32_bits() {
        assert_eq!(small(&[1, 0, 1]).unwrap(), 65_537);
        assert_eq!(small(&[]).unwrap(), 0);
        assert_eq!(small(&[0xff; 4]).unwrap(), u32::MAX);
        assert!(small(&[1, 0, 0, 0, 0]).is_err());
    }
}
