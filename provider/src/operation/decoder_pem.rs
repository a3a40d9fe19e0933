//! First step of reading a PEM file: finds our block and hands its DER on.

use ossl_shim::{Bio, Decoded, Decoder, Passphrase, Selection};

use crate::error::Result;
use crate::key::Key;
use crate::provider::HwKey;
use crate::reference;

/// `DER`, input=pem.
pub struct PemDecoder;

impl Decoder<HwKey> for PemDecoder {
    fn does(selection: Selection) -> bool {
        selection.anything() || selection.private_key() || selection.public_key()
    }

    /// Reads exactly one PEM block, so that what follows it in the file (a certificate chain) is
    /// still there for the next read; a foreign block is "not mine".
    fn decode(
        provider: &HwKey,
        input: &mut Bio<'_>,
        _: &mut Passphrase<'_>,
    ) -> Result<Option<Decoded<Key>>> {
        let mut block: Vec<u8> = Vec::new();
        while let Some(line) = input.line()? {
            if block.is_empty() && !line.starts_with(b"-----BEGIN ") {
                continue;
            }
            let last = line.starts_with(b"-----END ");
            // As OpenSSL does: white space at the end of a line means nothing.
            block.extend(line.trim_ascii_end());
            block.push(b'\n');
            if last {
                break;
            }
        }
        let Some(der) = reference::der_from_pem(&block)? else {
            return Ok(None);
        };
        provider.readings.begin();
        Ok(Some(Decoded::Data {
            der,
            structure: reference::STRUCTURE,
        }))
    }

    fn delivered(provider: &HwKey) -> Result<()> {
        provider.readings.finish()
    }
}
