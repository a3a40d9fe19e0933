//! Writing a private key: a reference in PEM, and nothing else.

use ossl_shim::{Bio, Encoder, Selection};

use crate::error::{Error, Reason, Result};
use crate::key::{Key, Reference};
use crate::provider::HwKey;
use crate::reference;

/// PEM PrivateKeyInfo is what programs ask for when they write a private key; they get a
/// reference.
pub struct ReferenceEncoder;

impl Encoder<HwKey> for ReferenceEncoder {
    fn does(selection: Selection) -> bool {
        selection.private_key()
    }

    fn encode(_: &HwKey, key: &Key, _: Selection, out: &mut Bio<'_>) -> Result<()> {
        if !key.has_private() {
            return Err(Error::new(
                Reason::NotExportable,
                "writing a private key: this key has only its public half",
            ));
        }
        let pem = reference::to_pem(&key.reference()?, &key.place(), &key.name())?;
        Ok(out.write_all(pem.as_bytes())?)
    }
}

/// Every other form of a private key.
pub struct RefusingEncoder;

impl Encoder<HwKey> for RefusingEncoder {
    fn does(selection: Selection) -> bool {
        selection.private_key()
    }

    fn encode(_: &HwKey, key: &Key, _: Selection, _: &mut Bio<'_>) -> Result<()> {
        Err(refusal(key, "writing the private key"))
    }
}

/// Why the private half of `key` is not given.
pub fn refusal(key: &Key, attempted: &str) -> Error {
    let instead = match key.reference() {
        Ok(Reference::Tss2(_)) => "give programs the TSS2 PRIVATE KEY file as it is",
        _ => {
            "use its URI, or write a reference with openssl pkey -in URI -out FILE (PEM without \
             -traditional)"
        }
    };
    Error::new(
        Reason::NotExportable,
        format!(
            "{attempted} \"{}\" on {}: it stays in the hardware; {instead}",
            key.name(),
            key.place()
        ),
    )
}
