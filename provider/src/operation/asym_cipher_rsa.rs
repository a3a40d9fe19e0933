//! RSA encryption, on the host, and decryption.

use ossl_shim::params::{Descriptor, IntOrText, ParamsIn, ParamsOut, names};
use ossl_shim::{AsymCipher, OperationContext};
use zeroize::Zeroizing;

use super::keymgmt::wrong_type;
use super::message::digest_by_name;
use super::signature::stopping;
use crate::digest::Digest;
use crate::encoding::oaep::Oaep;
use crate::encoding::rejection::{self, StandIn};
use crate::encoding::{pkcs1_encryption, rsa_public};
use crate::error::{Error, Reason, Result};
use crate::key::{Decryption, Key, PublicKey};
use crate::provider::HwKey;

/// One encryption or decryption.
#[derive(Clone)]
pub struct RsaCipher {
    key: Option<Key>,
    padding: Padding,
    oaep_digest: Digest,
    /// `None`: as for the label.
    mgf1: Option<Digest>,
    label: Vec<u8>,
    tls: TlsVersions,
    /// `implicit-rejection`; programs that hide errors themselves turn it off (CMS).
    rejects_implicitly: bool,
}

impl Default for RsaCipher {
    fn default() -> Self {
        Self {
            key: None,
            padding: Padding::Pkcs1,
            oaep_digest: Digest::Sha1,
            mgf1: None,
            label: Vec::new(),
            tls: TlsVersions::default(),
            rejects_implicitly: true,
        }
    }
}

/// `pad-mode`; the numbers are RSA_PKCS1_PADDING and its like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    None,
    Pkcs1,
    Oaep,
    /// PKCS#1 of a TLS premaster secret, which libssl wants in any case.
    Tls,
}

/// What a premaster secret begins with.
#[derive(Clone, Copy, Default)]
struct TlsVersions {
    client: Option<u16>,
    negotiated: Option<u16>,
}

/// Not in OpenSSL 3.0's headers.
const IMPLICIT_REJECTION: &std::ffi::CStr = c"implicit-rejection";

impl OperationContext<HwKey> for RsaCipher {
    const GETTABLE: &'static [Descriptor] = &[
        Descriptor::utf8(names::CIPHER_PAD_MODE),
        Descriptor::utf8(names::CIPHER_OAEP_DIGEST),
        Descriptor::utf8(names::CIPHER_MGF1_DIGEST),
        Descriptor::unsigned(IMPLICIT_REJECTION),
        Descriptor::END,
    ];

    const SETTABLE: &'static [Descriptor] = &[
        Descriptor::utf8(names::CIPHER_PAD_MODE),
        Descriptor::utf8(names::CIPHER_OAEP_DIGEST),
        Descriptor::utf8(names::CIPHER_OAEP_DIGEST_PROPERTIES),
        Descriptor::utf8(names::CIPHER_MGF1_DIGEST),
        Descriptor::utf8(names::CIPHER_MGF1_DIGEST_PROPERTIES),
        Descriptor::octets(names::CIPHER_OAEP_LABEL),
        Descriptor::unsigned(names::CIPHER_TLS_CLIENT_VERSION),
        Descriptor::unsigned(names::CIPHER_TLS_NEGOTIATED_VERSION),
        Descriptor::unsigned(IMPLICIT_REJECTION),
        Descriptor::END,
    ];

    fn new(_: &HwKey) -> Result<Self> {
        Ok(Self::default())
    }

    fn duplicate(&self) -> Result<Self> {
        Ok(self.clone())
    }

    fn set_params(&mut self, params: &ParamsIn<'_>) -> Result<()> {
        if let Some(mode) = params.int_or_text(names::CIPHER_PAD_MODE)? {
            self.padding = Padding::parse(&mode)?;
        }
        if let Some(name) = params.utf8(names::CIPHER_OAEP_DIGEST)? {
            self.oaep_digest = digest_by_name(name)?;
        }
        if let Some(name) = params.utf8(names::CIPHER_MGF1_DIGEST)? {
            self.mgf1 = Some(digest_by_name(name)?);
        }
        if let Some(label) = params.octets(names::CIPHER_OAEP_LABEL)? {
            self.label = label.to_vec();
        }
        if let Some(version) = params.int(names::CIPHER_TLS_CLIENT_VERSION)? {
            self.tls.client = tls_version(version)?;
        }
        if let Some(version) = params.int(names::CIPHER_TLS_NEGOTIATED_VERSION)? {
            self.tls.negotiated = tls_version(version)?;
        }
        if let Some(on) = params.int(IMPLICIT_REJECTION)? {
            self.rejects_implicitly = on != 0;
        }
        Ok(())
    }

    fn params(&self, out: &mut ParamsOut<'_>) -> Result<()> {
        self.padding.answer(out)?;
        out.utf8(names::CIPHER_OAEP_DIGEST, self.oaep_digest.c_name())?;
        out.utf8(names::CIPHER_MGF1_DIGEST, self.oaep().mgf1.c_name())?;
        out.int(IMPLICIT_REJECTION, self.rejects_implicitly.into())?;
        Ok(())
    }
}

impl AsymCipher<HwKey> for RsaCipher {
    fn encrypt_init(&mut self, key: Option<&Key>) -> Result<()> {
        self.start(key)
    }

    fn encrypt(&mut self, message: &[u8], out: &mut [u8]) -> Result<usize> {
        let (modulus, exponent) = numbers(self.key()?)?;
        let padded = match self.padding {
            Padding::None if message.len() != modulus.len() => {
                return Err(Error::new(
                    Reason::InvalidData,
                    format!(
                        "the data to encrypt has {} bytes; without padding it must have {}",
                        message.len(),
                        modulus.len()
                    ),
                ));
            }
            Padding::None => Zeroizing::new(message.to_vec()),
            Padding::Pkcs1 => pkcs1_encryption::encode(message, modulus.len())?,
            Padding::Oaep => self.oaep().encode(message, modulus.len())?,
            Padding::Tls => {
                return Err(Error::new(
                    Reason::InvalidParameter,
                    "RSA_PKCS1_WITH_TLS_PADDING is for decryption; encrypt with pkcs1",
                ));
            }
        };
        put(&rsa_public::apply(modulus, exponent, &padded)?, out)
    }

    fn decrypt_init(&mut self, key: Option<&Key>) -> Result<()> {
        self.start(key)
    }

    fn decrypt(&mut self, ciphertext: &[u8], out: &mut [u8]) -> Result<usize> {
        let key = self.key()?;
        let message = self.decrypted(key, ciphertext);
        put(&message.map_err(stopping("decrypting", key))?, out)
    }

    fn max_size(&self) -> Result<usize> {
        match self.padding {
            Padding::Tls => Ok(pkcs1_encryption::PREMASTER_SIZE),
            _ => Ok(numbers(self.key()?)?.0.len()),
        }
    }
}

impl RsaCipher {
    fn start(&mut self, key: Option<&Key>) -> Result<()> {
        if let Some(key) = key {
            self.key = Some(key.clone());
        }
        numbers(self.key()?).map(drop)
    }

    fn key(&self) -> Result<&Key> {
        self.key.as_ref().ok_or_else(|| {
            Error::new(
                Reason::InvalidParameter,
                "the encryption was not started with a key",
            )
        })
    }

    fn oaep(&self) -> Oaep<'_> {
        Oaep {
            digest: self.oaep_digest,
            mgf1: self.mgf1.unwrap_or(self.oaep_digest),
            label: &self.label,
        }
    }

    fn decrypted(&self, key: &Key, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let ciphertext = full_size(numbers(key)?.0, ciphertext)?;
        match self.padding {
            Padding::None => raw(key, &ciphertext),
            Padding::Pkcs1 => self.pkcs1(key, &ciphertext),
            Padding::Oaep => self.decrypted_oaep(key, &ciphertext),
            Padding::Tls => self.tls.premaster(key, &ciphertext),
        }
    }

    fn pkcs1(&self, key: &Key, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        match (key.decrypts_raw(), self.rejects_implicitly) {
            (true, true) => {
                let stand_in = StandIn::new(&key.rejection_secret()?, ciphertext);
                pkcs1_encryption::decode(&raw(key, ciphertext)?, &stand_in)
            }
            (true, false) => pkcs1_encryption::decode_openly(&raw(key, ciphertext)?),
            (false, true) => {
                // Made in any case, so that it takes the same time.
                let secret = rejection::secret_for(numbers(key)?.0)?;
                let stand_in = StandIn::new(&secret, ciphertext).message();
                Ok(unpadded_by_hardware(key, ciphertext)?.unwrap_or(stand_in))
            }
            (false, false) => key.decrypt(&Decryption::Pkcs1, ciphertext),
        }
    }

    fn decrypted_oaep(&self, key: &Key, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let oaep = self.oaep();
        if oaep.digest == oaep.mgf1 && key.takes_oaep(oaep.digest, oaep.label) {
            let (digest, label) = (oaep.digest, oaep.label.to_vec());
            return key.decrypt(&Decryption::Oaep { digest, label }, ciphertext);
        }
        if !key.decrypts_raw() {
            return Err(Error::new(
                Reason::OperationNotAllowed,
                "the key does not decrypt OAEP with these digests or this label; take one digest for both, and \
                 no label",
            ));
        }
        oaep.decode(raw(key, ciphertext)?)
    }
}

impl TlsVersions {
    fn premaster(self, key: &Key, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let version = self.client.ok_or_else(|| {
            Error::new(
                Reason::InvalidParameter,
                "a TLS premaster secret is decrypted with the client's version, tls-client-version",
            )
        })?;
        if key.decrypts_raw() {
            let encoded = raw(key, ciphertext)?;
            return pkcs1_encryption::decode_premaster(&encoded, version, self.negotiated);
        }
        let random = pkcs1_encryption::random_premaster()?;
        let secret = unpadded_by_hardware(key, ciphertext)?;
        let good = secret.filter(|secret| {
            let has_size = secret.len() == pkcs1_encryption::PREMASTER_SIZE;
            has_size && pkcs1_encryption::has_version(secret, version, self.negotiated).to_bool()
        });
        Ok(good.unwrap_or(random))
    }
}

impl Padding {
    fn parse(mode: &IntOrText<'_>) -> Result<Self> {
        Ok(match mode {
            IntOrText::Int(1) | IntOrText::Text("pkcs1") => Self::Pkcs1,
            IntOrText::Int(3) | IntOrText::Text("none") => Self::None,
            IntOrText::Int(4) | IntOrText::Text("oaep") => Self::Oaep,
            IntOrText::Int(7) => Self::Tls,
            other => {
                return Err(Error::new(
                    Reason::InvalidParameter,
                    format!("RSA padding {other:?}; hwkey decrypts with oaep, pkcs1 and none"),
                ));
            }
        })
    }

    fn answer(self, out: &mut ParamsOut<'_>) -> Result<()> {
        let (number, name) = match self {
            Self::Pkcs1 => (1, names::PAD_PKCS1),
            Self::None => (3, names::PAD_NONE),
            Self::Oaep => (4, names::PAD_OAEP),
            // It has no name.
            Self::Tls => (7, c"7"),
        };
        Ok(out.int_or_name(names::CIPHER_PAD_MODE, number, name)?)
    }
}

/// A TLS version as libssl gives it; 0 for none.
fn tls_version(version: i64) -> Result<Option<u16>> {
    let version = u16::try_from(version).map_err(|_| {
        Error::new(
            Reason::InvalidParameter,
            format!("{version} is no TLS version"),
        )
    })?;
    Ok((version != 0).then_some(version))
}

/// The bare RSA operation. The paddings rely on the size of its result.
fn raw(key: &Key, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let result = key.decrypt(&Decryption::Raw, ciphertext)?;
    match result.len() == ciphertext.len() {
        true => Ok(result),
        false => Err(Error::new(
            Reason::TokenFailed,
            format!(
                "raw RSA gave {} bytes for a key of {}",
                result.len(),
                ciphertext.len()
            ),
        )),
    }
}

/// The message, or `None` if the hardware says that it is none.
fn unpadded_by_hardware(key: &Key, ciphertext: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
    match key.decrypt(&Decryption::Pkcs1, ciphertext) {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.reason() == Reason::InvalidData => {
            log::debug!("taken for wrong padding: {error}");
            Ok(None)
        }
        // Anything else is no answer about the message.
        Err(error) => Err(error),
    }
}

/// The ciphertext with the modulus' size. OpenSSL takes shorter ones, too.
fn full_size(modulus: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>> {
    let size = modulus.len();
    let zeros = size
        .checked_sub(ciphertext.len())
        .filter(|zeros| *zeros < size);
    let zeros = zeros.ok_or_else(|| {
        Error::new(
            Reason::InvalidData,
            format!(
                "the data to decrypt has {} bytes; it must have the {size} of the key",
                ciphertext.len()
            ),
        )
    })?;
    let full = [&vec![0; zeros][..], ciphertext].concat();
    // Big-endian, of one size: the bytes compare as the numbers do.
    match full.as_slice() < modulus {
        true => Ok(full),
        false => Err(Error::new(
            Reason::InvalidData,
            "the data to decrypt is not for this key: its number is not smaller than the modulus",
        )),
    }
}

fn put(made: &[u8], out: &mut [u8]) -> Result<usize> {
    let internal = || Error::new(Reason::Internal, "a result that is longer than it can be");
    out.get_mut(..made.len())
        .ok_or_else(internal)?
        .copy_from_slice(made);
    Ok(made.len())
}

fn numbers(key: &Key) -> Result<(&[u8], &[u8])> {
    match key.public() {
        PublicKey::Rsa {
            modulus, exponent, ..
        } => Ok((modulus, exponent)),
        _ => Err(wrong_type()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::test_key::TestKey;

    fn cipher(padding: Padding, key: TestKey) -> RsaCipher {
        RsaCipher {
            key: Some(Key::new(key)),
            padding,
            ..RsaCipher::default()
        }
    }

    fn encrypted(cipher: &mut RsaCipher, message: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 128];
        let size = cipher.encrypt(message, &mut out).unwrap();
        assert_eq!(size, 128);
        out
    }

    fn decrypted(cipher: &mut RsaCipher, ciphertext: &[u8]) -> Result<Vec<u8>> {
        let mut out = vec![0; cipher.max_size()?];
        let size = cipher.decrypt(ciphertext, &mut out)?;
        out.truncate(size);
        Ok(out)
    }

    #[test]
    fn what_is_encrypted_is_decrypted_with_every_padding() {
        for (padding, message) in [
            (Padding::None, vec![7; 128]),
            (Padding::Pkcs1, b"message".to_vec()),
            (Padding::Oaep, b"message".to_vec()),
        ] {
            for raw in [true, false] {
                if padding == Padding::None && !raw {
                    continue;
                }
                let mut cipher = cipher(padding, TestKey::rsa(raw));
                let ciphertext = encrypted(&mut cipher, &message);
                assert_eq!(decrypted(&mut cipher, &ciphertext).unwrap(), message);
            }
        }
        let mut cipher = cipher(Padding::Oaep, TestKey::rsa(true));
        cipher.mgf1 = Some(Digest::Sha256);
        let ciphertext = encrypted(&mut cipher, b"message");
        assert_eq!(decrypted(&mut cipher, &ciphertext).unwrap(), b"message");
    }

    #[test]
    fn a_wrong_padding_gives_the_same_message_each_time_or_the_error_that_was_asked_for() {
        let other = encrypted(&mut cipher(Padding::None, TestKey::rsa(true)), &[7; 128]);
        for raw in [true, false] {
            let mut cipher = cipher(Padding::Pkcs1, TestKey::rsa(raw));
            let first = decrypted(&mut cipher, &other).unwrap();
            assert_eq!(decrypted(&mut cipher, &other).unwrap(), first);
            cipher.rejects_implicitly = false;
            assert!(decrypted(&mut cipher, &other).is_err());
        }
    }

    #[test]
    fn a_premaster_secret_has_its_size_whatever_comes() {
        let secret = [&[3, 3][..], &[9; 46]].concat();
        for raw in [true, false] {
            let good = encrypted(&mut cipher(Padding::Pkcs1, TestKey::rsa(raw)), &secret);
            let bad = encrypted(&mut cipher(Padding::None, TestKey::rsa(raw)), &[7; 128]);
            let mut cipher = cipher(Padding::Tls, TestKey::rsa(raw));
            assert!(decrypted(&mut cipher, &good).is_err());
            cipher.tls.client = Some(0x0303);
            assert_eq!(decrypted(&mut cipher, &good).unwrap(), secret);
            for random in [decrypted(&mut cipher, &bad).unwrap(), {
                cipher.tls.client = Some(0x0302);
                decrypted(&mut cipher, &good).unwrap()
            }] {
                assert_eq!(random.len(), pkcs1_encryption::PREMASTER_SIZE);
                assert_ne!(random, secret);
            }
        }
    }

    #[test]
    fn lengths_that_can_not_be_are_refused() {
        let mut cipher = cipher(Padding::Pkcs1, TestKey::rsa(true));
        for ciphertext in [&[][..], &[1; 129], &[0xff; 128]] {
            assert!(decrypted(&mut cipher, ciphertext).is_err());
        }
        let mut out = [0; 128];
        assert!(cipher.encrypt(&[1; 118], &mut out).is_err());
        cipher.padding = Padding::None;
        assert!(cipher.encrypt(&[1; 127], &mut out).is_err());
        assert!(cipher.encrypt(&[0xff; 128], &mut out).is_err());
        assert!(cipher.encrypt(&[1; 128], &mut [0; 127]).is_err());
    }
}
