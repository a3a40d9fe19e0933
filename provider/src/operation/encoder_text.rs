//! `openssl pkey -text`: the public half, and where the private one lives.

use std::fmt::Write as _;

use ossl_shim::{Bio, Encoder, Selection};

use crate::error::{Error, Reason, Result};
use crate::key::{Key, PublicKey, Reference};
use crate::provider::HwKey;

/// output=text.
pub struct TextEncoder;

impl Encoder<HwKey> for TextEncoder {
    fn does(selection: Selection) -> bool {
        // A public key alone is printed by the default provider. Parameters alone are not left to
        // it: it would get an RSA key without numbers, and crashes (OpenSSL 3.0's rsa_to_text).
        selection.private_key() || (selection.parameters() && !selection.public_key())
    }

    fn encode(_: &HwKey, key: &Key, selection: Selection, out: &mut Bio<'_>) -> Result<()> {
        let text = match selection.private_key() {
            true => describe(key),
            false => Ok(parameters(key.public())),
        };
        let text = text.map_err(|error| Error::new(Reason::Internal, error.to_string()))?;
        Ok(out.write_all(text.as_bytes())?)
    }
}

/// The layout of OpenSSL's own key text (`EVP_PKEY_print_private`).
fn describe(key: &Key) -> std::result::Result<String, std::fmt::Error> {
    let mut text = String::new();
    let public = key.public();
    writeln!(text, "Private-Key: ({} bit) in hardware", public.bits())?;
    match key.reference() {
        Ok(Reference::Tss2(_)) => writeln!(text, "File: TSS2 PRIVATE KEY")?,
        _ => writeln!(text, "URI: {}", key.uri())?,
    }
    writeln!(text, "Place: {}", key.place())?;
    match public {
        PublicKey::Rsa {
            modulus, exponent, ..
        } => {
            hex_block(&mut text, "modulus", modulus, true)?;
            hex_block(&mut text, "publicExponent", exponent, true)?;
        }
        PublicKey::Ec { curve, point } => {
            hex_block(&mut text, "pub", point, false)?;
            let group = curve.group_name().to_string_lossy();
            writeln!(text, "ASN1 OID: {group}\nCurve: {curve}")?;
        }
        PublicKey::Edwards { point, .. } => hex_block(&mut text, "pub", point, false)?,
    }
    Ok(text)
}

/// `EVP_PKEY_print_params`: the curve. Other keys have no parameters.
fn parameters(public: &PublicKey) -> String {
    match public {
        PublicKey::Ec { curve, .. } => {
            let group = curve.group_name().to_string_lossy();
            let bits = curve.bits();
            format!("ECDSA-Parameters: ({bits} bit)\nASN1 OID: {group}\nCurve: {curve}\n")
        }
        _ => String::new(),
    }
}

fn hex_block(text: &mut String, title: &str, bytes: &[u8], is_number: bool) -> std::fmt::Result {
    writeln!(text, "{title}:")?;
    let sign = is_number && bytes.first().is_some_and(|byte| byte >> 7 == 1);
    let bytes: Vec<u8> = sign
        .then_some(0)
        .into_iter()
        .chain(bytes.iter().copied())
        .collect();
    for (index, line) in bytes.chunks(15).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let more = if (index + 1) * 15 < bytes.len() {
            ":"
        } else {
            ""
        };
        writeln!(text, "    {}{more}", hex.join(":"))?;
    }
    Ok(())
}
