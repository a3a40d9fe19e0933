//! ECDH, bare or with the key derivation function of ANSI X9.63.

use ossl_shim::params::{Descriptor, ParamsIn, ParamsOut, names};
use ossl_shim::{KeyExchange, OperationContext};
use zeroize::Zeroizing;

use super::keymgmt::wrong_type;
use super::message::digest_by_name;
use super::signature::stopping;
use crate::digest::Digest;
use crate::encoding::x963kdf;
use crate::error::{Error, Reason, Result};
use crate::key::{Curve, Key, PublicKey};
use crate::provider::HwKey;

/// One key exchange.
#[derive(Clone, Default)]
pub struct EcdhExchange {
    key: Option<Key>,
    peer: Option<Key>,
    /// `kdf-type`: X963KDF.
    kdf: bool,
    kdf_digest: Option<Digest>,
    kdf_size: Option<usize>,
    /// The user keying material, which is the KDF's SharedInfo.
    kdf_material: Zeroizing<Vec<u8>>,
}

/// No key has this size; whoever asks for it would get memory only.
const MAX_KDF_SIZE: usize = 1 << 20;

impl OperationContext<HwKey> for EcdhExchange {
    const GETTABLE: &'static [Descriptor] = &[
        Descriptor::int(names::EXCHANGE_COFACTOR_MODE),
        Descriptor::utf8(names::EXCHANGE_KDF_TYPE),
        Descriptor::utf8(names::EXCHANGE_KDF_DIGEST),
        Descriptor::unsigned(names::EXCHANGE_KDF_OUTLEN),
        Descriptor::octets(names::EXCHANGE_KDF_UKM),
        Descriptor::END,
    ];

    // "pad" has nothing to do: the secret has the field's size always.
    const SETTABLE: &'static [Descriptor] = &[
        Descriptor::int(names::EXCHANGE_COFACTOR_MODE),
        Descriptor::unsigned(names::EXCHANGE_PAD),
        Descriptor::utf8(names::EXCHANGE_KDF_TYPE),
        Descriptor::utf8(names::EXCHANGE_KDF_DIGEST),
        Descriptor::utf8(names::EXCHANGE_KDF_DIGEST_PROPERTIES),
        Descriptor::unsigned(names::EXCHANGE_KDF_OUTLEN),
        Descriptor::octets(names::EXCHANGE_KDF_UKM),
        Descriptor::END,
    ];

    fn new(_: &HwKey) -> Result<Self> {
        Ok(Self::default())
    }

    fn duplicate(&self) -> Result<Self> {
        Ok(self.clone())
    }

    fn set_params(&mut self, params: &ParamsIn<'_>) -> Result<()> {
        if let Some(mode) = params.int(names::EXCHANGE_COFACTOR_MODE)? {
            // The cofactor of all our curves is 1, so that the modes don't differ.
            if !(-1..=1).contains(&mode) {
                return Err(invalid(format!(
                    "the ECDH cofactor mode {mode}; give -1, 0 or 1"
                )));
            }
        }
        if let Some(name) = params.utf8(names::EXCHANGE_KDF_TYPE)? {
            self.kdf = match name {
                "" => false,
                "X963KDF" => true,
                other => return Err(invalid(format!("the KDF {other}; hwkey has X963KDF"))),
            };
        }
        if let Some(name) = params.utf8(names::EXCHANGE_KDF_DIGEST)? {
            self.kdf_digest = Some(digest_by_name(name)?);
        }
        if let Some(size) = params.int(names::EXCHANGE_KDF_OUTLEN)? {
            let size = usize::try_from(size)
                .ok()
                .filter(|size| *size <= MAX_KDF_SIZE);
            let too_much = || invalid(format!("X963KDF gives {MAX_KDF_SIZE} bytes at most"));
            self.kdf_size = Some(size.ok_or_else(too_much)?);
        }
        if let Some(material) = params.octets(names::EXCHANGE_KDF_UKM)? {
            self.kdf_material = Zeroizing::new(material.to_vec());
        }
        Ok(())
    }

    fn params(&self, out: &mut ParamsOut<'_>) -> Result<()> {
        out.int(names::EXCHANGE_COFACTOR_MODE, 0)?;
        let kdf = if self.kdf { c"X963KDF" } else { c"" };
        out.utf8(names::EXCHANGE_KDF_TYPE, kdf)?;
        let digest = self.kdf_digest.map_or(c"", Digest::c_name);
        out.utf8(names::EXCHANGE_KDF_DIGEST, digest)?;
        // At most MAX_KDF_SIZE.
        let size = self.kdf_size.unwrap_or(0) as i32;
        out.int(names::EXCHANGE_KDF_OUTLEN, size)?;
        out.octets(names::EXCHANGE_KDF_UKM, &self.kdf_material)?;
        Ok(())
    }
}

impl KeyExchange<HwKey> for EcdhExchange {
    fn init(&mut self, key: Option<&Key>) -> Result<()> {
        if let Some(key) = key {
            self.key = Some(key.clone());
        }
        self.peer = None;
        parts(self.key()?).map(drop)
    }

    fn set_peer(&mut self, peer: Option<&Key>) -> Result<()> {
        let peer = peer.ok_or_else(|| not_started("peer's key"))?;
        let ((own, _), (theirs, _)) = (parts(self.key()?)?, parts(peer)?);
        if own != theirs {
            return Err(invalid(format!(
                "the key is on the curve {own} and the peer's on {theirs}; ECDH needs one curve"
            )));
        }
        self.peer = Some(peer.clone());
        Ok(())
    }

    fn size(&self) -> Result<usize> {
        match self.kdf {
            true => self
                .kdf_size
                .filter(|size| *size > 0)
                .ok_or_else(|| invalid("X963KDF needs the size of the key, kdf-outlen")),
            false => Ok(parts(self.key()?)?.0.field_size()),
        }
    }

    /// As OpenSSL's own ECDH does it.
    fn truncates(&self) -> bool {
        !self.kdf
    }

    fn derive(&mut self, secret: &mut [u8]) -> Result<()> {
        let key = self.key()?;
        let peer = self
            .peer
            .as_ref()
            .ok_or_else(|| not_started("peer's key"))?;
        let (curve, point) = parts(peer)?;
        let z = key.derive(point).map_err(stopping("deriving", key))?;
        if z.len() != curve.field_size() {
            return Err(Error::new(
                Reason::TokenFailed,
                format!("an ECDH secret of {} bytes on {curve}", z.len()),
            ));
        }
        if !self.kdf {
            secret.copy_from_slice(&z);
            return Ok(());
        }
        let digest = self
            .kdf_digest
            .ok_or_else(|| invalid("X963KDF needs a digest, kdf-digest"))?;
        x963kdf::derive(digest, &z, &self.kdf_material, secret)
    }
}

impl EcdhExchange {
    fn key(&self) -> Result<&Key> {
        self.key.as_ref().ok_or_else(|| not_started("key"))
    }
}

fn parts(key: &Key) -> Result<(Curve, &[u8])> {
    match key.public() {
        PublicKey::Ec { curve, point } => Ok((*curve, point)),
        _ => Err(wrong_type()),
    }
}

#[track_caller]
fn not_started(what: &str) -> Error {
    invalid(format!("the key exchange has no {what}"))
}

#[track_caller]
fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Reason::InvalidParameter, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::test_key::TestKey;

    fn exchange() -> EcdhExchange {
        let mut exchange = EcdhExchange::default();
        let key = |curve| Key::new(TestKey::ec(curve));
        exchange.init(Some(&key(Curve::P521))).unwrap();
        assert!(exchange.set_peer(Some(&key(Curve::P256))).is_err());
        exchange.set_peer(Some(&key(Curve::P521))).unwrap();
        exchange
    }

    fn derived(exchange: &mut EcdhExchange) -> Result<Vec<u8>> {
        let mut secret = vec![0; exchange.size()?];
        exchange.derive(&mut secret)?;
        Ok(secret)
    }

    #[test]
    fn the_bare_secret_has_the_fields_size() {
        assert_eq!(derived(&mut exchange()).unwrap(), vec![9; 66]);
        assert!(derived(&mut EcdhExchange::default()).is_err());
    }

    #[test]
    fn a_derived_key_needs_digest_and_size() {
        let mut exchange = exchange();
        exchange.kdf = true;
        assert!(derived(&mut exchange).is_err());
        exchange.kdf_size = Some(40);
        assert!(derived(&mut exchange).is_err());
        exchange.kdf_digest = Some(Digest::Sha256);
        let key = derived(&mut exchange).unwrap();
        let first = [&[9; 66][..], &[0, 0, 0, 1]].concat();
        assert_eq!(
            (key.len(), &key[..32]),
            (40, &Digest::Sha256.hash(&first)[..])
        );
    }

    #[test]
    fn another_start_forgets_the_peer() {
        let mut exchange = exchange();
        exchange.init(None).unwrap();
        assert!(derived(&mut exchange).is_err());
    }
}
