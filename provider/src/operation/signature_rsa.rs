//! RSA signatures: PKCS#1 v1.5 and PSS.

use ossl_shim::params::{Descriptor, IntOrText, ParamsIn, ParamsOut, names};

use super::keymgmt::wrong_type;
use super::message::{Message, digest_by_name};
use super::signature::{Hashed, HashedSignature};
use crate::digest::Digest;
use crate::encoding::{algorithm, pss};
use crate::error::{Error, Reason, Result};
use crate::key::{Input, Key, PublicKey, RsaUse, Scheme};

/// One RSA signature.
pub type RsaSignature = HashedSignature<RsaPadding>;

/// The padding and its parameters.
#[derive(Clone)]
pub struct RsaPadding {
    padding: Padding,
    mgf1: Option<Digest>,
    salt: Salt,
    /// The key is one of RSA-PSS.
    only_pss: bool,
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

impl Default for RsaPadding {
    fn default() -> Self {
        Self {
            padding: Padding::Pkcs1,
            mgf1: None,
            salt: Salt::Max,
            only_pss: false,
        }
    }
}

impl Hashed for RsaPadding {
    const GETTABLE: &'static [Descriptor] = &[
        Descriptor::octets(names::SIGNATURE_ALGORITHM_ID),
        Descriptor::utf8(names::SIGNATURE_PAD_MODE),
        Descriptor::utf8(names::SIGNATURE_DIGEST),
        Descriptor::int(names::SIGNATURE_DIGEST_SIZE),
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

    fn max_size(key: &Key) -> Result<usize> {
        Ok(bits(key)?.div_ceil(8))
    }

    fn begin(&mut self, key: &Key) {
        self.only_pss = is_pss_only(key);
        if !key.salts_freely() {
            self.salt = Salt::Digest;
        }
        if self.only_pss {
            self.padding = Padding::Pss;
        }
    }

    fn sign(&self, message: &Message, input: Input<'_>, signature: &mut [u8]) -> Result<usize> {
        let (key, scheme) = (message.key()?, self.scheme(message)?);
        if let Input::Data(data) = input {
            check_fits(&scheme, data.len(), Self::max_size(key)?)?;
        }
        key.sign(&scheme, input, signature)
    }

    fn verify(&self, message: &Message, hashed: &[u8], signature: &[u8]) -> Result<bool> {
        message
            .key()?
            .verify(&self.scheme(message)?, hashed, signature)
    }

    fn set_params(&mut self, params: &ParamsIn<'_>) -> Result<()> {
        if let Some(mode) = params.int_or_text(names::SIGNATURE_PAD_MODE)? {
            let padding = Padding::parse(&mode)?;
            if self.only_pss && padding != Padding::Pss {
                return Err(Error::new(
                    Reason::InvalidParameter,
                    "the key is an RSA-PSS key: no other padding goes with it",
                ));
            }
            self.padding = padding;
        }
        if let Some(length) = params.int_or_text(names::SIGNATURE_PSS_SALTLEN)? {
            self.needs_pss("saltlen")?;
            self.salt = Salt::parse(&length)?;
        }
        if let Some(name) = params.utf8(names::SIGNATURE_MGF1_DIGEST)? {
            self.needs_pss("mgf1-digest")?;
            self.mgf1 = Some(digest_by_name(name)?);
        }
        Ok(())
    }

    fn params(&self, message: &Message, out: &mut ParamsOut<'_>) -> Result<()> {
        self.padding.answer(out)?;
        self.salt.answer(out)?;
        let Some(digest) = message.digest() else {
            return Ok(());
        };
        if out.wants(names::SIGNATURE_ALGORITHM_ID) {
            let der = algorithm::identifier(&self.scheme(message)?, digest)?;
            out.octets(names::SIGNATURE_ALGORITHM_ID, &der)?;
        }
        let mgf1 = self.mgf1.unwrap_or(digest);
        out.utf8(names::SIGNATURE_MGF1_DIGEST, mgf1.c_name())?;
        Ok(())
    }
}

impl RsaPadding {
    fn scheme(&self, message: &Message) -> Result<Scheme> {
        let digest = message.digest();
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
                    salt: self.salt.bytes(digest, bits(message.key()?)?)?,
                }
            }
        })
    }

    fn needs_pss(&self, name: &str) -> Result<()> {
        if self.padding == Padding::Pss {
            return Ok(());
        }
        Err(Error::new(
            Reason::InvalidParameter,
            format!("{name} is for RSA-PSS; set rsa_padding_mode:pss first"),
        ))
    }
}

/// Tokens say of wrong lengths all sorts of things (SoftHSM: CKR_GENERAL_ERROR). `size` is that of
/// the modulus in bytes.
fn check_fits(scheme: &Scheme, length: usize, size: usize) -> Result<()> {
    // RFC 8017 §9.2: at least eleven bytes of padding.
    let room = size.saturating_sub(11);
    let problem = match scheme {
        Scheme::RsaPkcs1 { digest: None } if length > room => {
            format!("at most {room} fit this key")
        }
        Scheme::RsaRaw if length != size => format!("without padding it must have {size}"),
        _ => return Ok(()),
    };
    Err(Error::new(
        Reason::InvalidData,
        format!("the data to sign has {length} bytes; {problem}"),
    ))
}

fn is_pss_only(key: &Key) -> bool {
    let PublicKey::Rsa { allowed, .. } = key.public() else {
        return false;
    };
    *allowed == RsaUse::PssOnly
}

fn bits(key: &Key) -> Result<usize> {
    match key.public() {
        public @ PublicKey::Rsa { .. } => Ok(public.bits()),
        _ => Err(wrong_type()),
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
        let salt = match self {
            Self::Digest => digest.size(),
            Self::Max => max,
            Self::DigestMax => max.min(digest.size()),
            Self::Bytes(bytes) => bytes,
        };
        if salt > max {
            return Err(Error::new(
                Reason::InvalidParameter,
                format!(
                    "an RSA-PSS salt of {salt} bytes; with {} a key of {bits} bits has room for {max}",
                    digest.name()
                ),
            ));
        }
        Ok(salt)
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
