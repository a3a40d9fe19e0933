//! RSA signatures: PKCS#1 v1.5 and PSS.

use ossl_shim::Signature;
use ossl_shim::params::{Descriptor, IntOrText, ParamsIn, ParamsOut, names};

use super::message::{Message, digest_by_name};
use super::{stopping_signature, stopping_verification};
use crate::digest::Digest;
use crate::encoding::{algorithm, pss};
use crate::error::{Error, Reason, Result};
use crate::key::{Key, PublicKey, Scheme};
use crate::provider::HwKey;

/// One RSA signature.
pub struct RsaSignature {
    message: Message,
    padding: Padding,
    mgf1: Option<Digest>,
    salt: Salt,
}

/// `pad-mode`; the numbers are RSA_PKCS1_PADDING and its like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    None,
    Pkcs1,
    Pss,
}

/// `saltlen`, provider-signature(7) and EVP_PKEY_CTX_set_rsa_pss_saltlen(3).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Salt {
    /// As long as the digest: -1, "digest".
    Digest,
    /// As long as fits: -2 and -3, "auto" and "max", OpenSSL's default.
    Max,
    /// As long as the digest, or what fits: -4, "auto-digestmax".
    DigestMax,
    Bytes(usize),
}

impl Signature<HwKey> for RsaSignature {
    const GETTABLE: &'static [Descriptor] = &[
        Descriptor::octets(names::SIGNATURE_ALGORITHM_ID),
        Descriptor::utf8(names::SIGNATURE_PAD_MODE),
        Descriptor::utf8(names::SIGNATURE_DIGEST),
        Descriptor::utf8(names::SIGNATURE_MGF1_DIGEST),
        Descriptor::utf8(names::SIGNATURE_PSS_SALTLEN),
        Descriptor::END,
    ];

    const SETTABLE: &'static [Descriptor] = &[
        Descriptor::utf8(names::SIGNATURE_DIGEST),
        Descriptor::utf8(names::SIGNATURE_PROPERTIES),
        Descriptor::utf8(names::SIGNATURE_PAD_MODE),
        Descriptor::utf8(names::SIGNATURE_MGF1_DIGEST),
        Descriptor::utf8(names::SIGNATURE_MGF1_PROPERTIES),
        Descriptor::utf8(names::SIGNATURE_PSS_SALTLEN),
        Descriptor::END,
    ];

    fn new(_: &HwKey) -> Result<Self> {
        Ok(Self {
            message: Message::default(),
            padding: Padding::Pkcs1,
            mgf1: None,
            salt: Salt::Max,
        })
    }

    fn duplicate(&self) -> Result<Self> {
        Ok(Self {
            message: self.message.clone(),
            ..*self
        })
    }

    fn sign_init(&mut self, key: Option<&Key>) -> Result<()> {
        self.message.start(key)?;
        self.allowed()
    }

    fn sign(&mut self, data: &[u8], signature: &mut [u8]) -> Result<usize> {
        self.message.check_hashed(data)?;
        self.sign_hashed(data, signature)
    }

    fn digest_sign_init(&mut self, digest: Option<&str>, key: Option<&Key>) -> Result<()> {
        self.message.start_hashing(digest, key)?;
        self.allowed()
    }

    fn digest_sign_update(&mut self, data: &[u8]) -> Result<()> {
        self.message.update(data)
    }

    fn digest_sign_final(&mut self, signature: &mut [u8]) -> Result<usize> {
        let hashed = self.message.finish()?;
        self.sign_hashed(&hashed, signature)
    }

    fn verify_init(&mut self, key: Option<&Key>) -> Result<()> {
        self.message.start(key)
    }

    fn verify(&mut self, data: &[u8], signature: &[u8]) -> Result<bool> {
        self.message.check_hashed(data)?;
        self.verify_hashed(data, signature)
    }

    fn digest_verify_init(&mut self, digest: Option<&str>, key: Option<&Key>) -> Result<()> {
        self.message.start_hashing(digest, key)
    }

    fn digest_verify_final(&mut self, signature: &[u8]) -> Result<bool> {
        let hashed = self.message.finish()?;
        self.verify_hashed(&hashed, signature)
    }

    fn max_size(&self) -> Result<usize> {
        Ok(self.bits()?.div_ceil(8))
    }

    fn set_params(&mut self, params: &ParamsIn<'_>) -> Result<()> {
        if let Some(name) = params.utf8(names::SIGNATURE_DIGEST)? {
            self.message.set_digest(name)?;
        }
        if let Some(mode) = params.int_or_text(names::SIGNATURE_PAD_MODE)? {
            self.padding = Padding::parse(&mode)?;
        }
        if let Some(length) = params.int_or_text(names::SIGNATURE_PSS_SALTLEN)? {
            self.only_pss("saltlen")?;
            self.salt = Salt::parse(&length)?;
        }
        if let Some(name) = params.utf8(names::SIGNATURE_MGF1_DIGEST)? {
            self.only_pss("mgf1-digest")?;
            self.mgf1 = Some(digest_by_name(name)?);
        }
        Ok(())
    }

    fn params(&self, out: &mut ParamsOut<'_>) -> Result<()> {
        self.padding.answer(out)?;
        self.salt.answer(out)?;
        let Some(digest) = self.message.digest() else {
            return Ok(());
        };
        if out.wants(names::SIGNATURE_ALGORITHM_ID) {
            let der = algorithm::identifier(&self.scheme()?, digest)?;
            out.octets(names::SIGNATURE_ALGORITHM_ID, &der)?;
        }
        out.utf8(names::SIGNATURE_DIGEST, digest.c_name())?;
        let mgf1 = self.mgf1.unwrap_or(digest);
        out.utf8(names::SIGNATURE_MGF1_DIGEST, mgf1.c_name())?;
        Ok(())
    }
}

impl RsaSignature {
    fn allowed(&self) -> Result<()> {
        let key = self.message.key()?;
        let scheme = Scheme::RsaPkcs1 { digest: None };
        key.allows(&scheme).map_err(stopping_signature(key))
    }

    fn sign_hashed(&self, hashed: &[u8], signature: &mut [u8]) -> Result<usize> {
        let key = self.message.key()?;
        let mut sign = || {
            let scheme = self.scheme()?;
            key.sign(&scheme, hashed, signature)
        };
        sign().map_err(stopping_signature(key))
    }

    fn verify_hashed(&self, hashed: &[u8], signature: &[u8]) -> Result<bool> {
        let key = self.message.key()?;
        let scheme = self.scheme()?;
        key.verify(&scheme, hashed, signature)
            .map_err(stopping_verification(key))
    }

    fn scheme(&self) -> Result<Scheme> {
        let digest = self.message.digest();
        Ok(match self.padding {
            Padding::None => Scheme::RsaRaw,
            Padding::Pkcs1 => Scheme::RsaPkcs1 { digest },
            Padding::Pss => {
                let digest = digest.ok_or_else(|| {
                    Error::new(
                        Reason::UnsupportedDigest,
                        "RSA-PSS needs a digest; with pkeyutl add -pkeyopt digest:sha256",
                    )
                })?;
                Scheme::RsaPss {
                    digest,
                    mgf1: self.mgf1.unwrap_or(digest),
                    salt: self.salt.bytes(digest, self.bits()?)?,
                }
            }
        })
    }

    fn only_pss(&self, name: &str) -> Result<()> {
        if self.padding == Padding::Pss {
            return Ok(());
        }
        Err(Error::new(
            Reason::InvalidParameter,
            format!("{name} is for RSA-PSS; set rsa_padding_mode:pss first"),
        ))
    }

    fn bits(&self) -> Result<usize> {
        match self.message.key()?.public() {
            key @ PublicKey::Rsa { .. } => Ok(key.bits()),
            _ => Err(Error::new(Reason::Internal, "not an RSA key")),
        }
    }
}

impl Padding {
    fn parse(mode: &IntOrText<'_>) -> Result<Self> {
        Ok(match mode {
            IntOrText::Int(1) | IntOrText::Text("pkcs1") => Self::Pkcs1,
            IntOrText::Int(3) | IntOrText::Text("none") => Self::None,
            IntOrText::Int(6) | IntOrText::Text("pss") => Self::Pss,
            other => {
                return Err(Error::new(
                    Reason::InvalidParameter,
                    format!("RSA padding {other:?}; hwkey signs with pkcs1, pss and none"),
                ));
            }
        })
    }

    fn answer(self, out: &mut ParamsOut<'_>) -> Result<()> {
        let (number, name) = match self {
            Self::Pkcs1 => (1, names::PAD_PKCS1),
            Self::None => (3, names::PAD_NONE),
            Self::Pss => (6, names::PAD_PSS),
        };
        Ok(out.int_or_name(names::SIGNATURE_PAD_MODE, number, name)?)
    }
}

impl Salt {
    fn parse(length: &IntOrText<'_>) -> Result<Self> {
        // Numbers come as numbers (libssl) or as text (-sigopt).
        let number = match length {
            IntOrText::Text("digest") => return Ok(Self::Digest),
            IntOrText::Text("auto" | "max") => return Ok(Self::Max),
            IntOrText::Text("auto-digestmax") => return Ok(Self::DigestMax),
            IntOrText::Text(text) => text.parse().ok(),
            IntOrText::Int(number) => Some(*number),
        };
        let salt = number.and_then(|number: i64| match number {
            -1 => Some(Self::Digest),
            -2 | -3 => Some(Self::Max),
            -4 => Some(Self::DigestMax),
            bytes => usize::try_from(bytes).ok().map(Self::Bytes),
        });
        salt.ok_or_else(|| {
            Error::new(
                Reason::InvalidParameter,
                format!("RSA-PSS salt length {length:?}; give bytes, digest, max or auto"),
            )
        })
    }

    fn bytes(self, digest: Digest, bits: usize) -> Result<usize> {
        let max = pss::max_salt(bits, digest).ok_or_else(|| {
            Error::new(
                Reason::UnsupportedDigest,
                format!(
                    "RSA-PSS with {} needs a longer key than {bits} bits",
                    digest.name()
                ),
            )
        })?;
        Ok(match self {
            Self::Digest => digest.size(),
            Self::Max => max,
            Self::DigestMax => max.min(digest.size()),
            Self::Bytes(bytes) => bytes,
        })
    }

    fn answer(self, out: &mut ParamsOut<'_>) -> Result<()> {
        let name = names::SIGNATURE_PSS_SALTLEN;
        match self {
            Self::Digest => out.int_or_name(name, -1, names::SALTLEN_DIGEST)?,
            Self::Max => out.int_or_name(name, -2, names::SALTLEN_AUTO)?,
            Self::DigestMax => out.int_or_name(name, -4, c"auto-digestmax")?,
            Self::Bytes(bytes) => out.int(name, i32::try_from(bytes).unwrap_or(i32::MAX))?,
        }
        Ok(())
    }
}
