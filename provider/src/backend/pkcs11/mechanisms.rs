//! PKCS#11's mechanisms for OpenSSL's schemes and digests, and what their input is.

use std::borrow::Cow;

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};

use crate::digest::Digest;
use crate::encoding::digest_info::digest_info;
use crate::encoding::ecdsa::leftmost;
use crate::encoding::{pkcs1, pss};
use crate::error::Result;
use crate::key::{Edwards, PublicKey, RsaUse, Scheme};

/// How the input of a raw mechanism is made of a digest's value.
#[derive(Clone, Copy)]
pub enum Form {
    AsItIs,
    DigestInfo(Digest),
    /// PKCS#1 v1.5 padding on the host, for tokens that have only raw RSA.
    Pkcs1(Option<Digest>),
    Pss {
        digest: Digest,
        mgf1: Digest,
        salt: usize,
    },
}

pub type Way = (Mechanism<'static>, Form);

impl Form {
    pub fn of<'a>(self, public: &PublicKey, data: &'a [u8]) -> Result<Cow<'a, [u8]>> {
        Ok(match self {
            // FIPS 186-5 §6.4: the leftmost bits. Some tokens do it themselves, some refuse.
            Self::AsItIs => match public {
                PublicKey::Ec { curve, .. } => leftmost(data, curve.field_size()).into(),
                _ => data.into(),
            },
            Self::DigestInfo(digest) => digest_info(digest, data)?.into(),
            Self::Pkcs1(digest) => {
                let size = public.bits().div_ceil(8);
                match digest {
                    Some(digest) => pkcs1::encode(&digest_info(digest, data)?, size)?.into(),
                    None => pkcs1::encode(data, size)?.into(),
                }
            }
            Self::Pss { digest, mgf1, salt } => {
                pss::encode(data, digest, mgf1, salt, public.bits())?.into()
            }
        })
    }
}

/// The schemes by which a key may be asked to sign over `digest`.
pub fn schemes(public: &PublicKey, digest: Digest) -> Vec<Scheme> {
    let pss = Scheme::RsaPss {
        digest,
        mgf1: digest,
        salt: 0,
    };
    let pkcs1 = Scheme::RsaPkcs1 {
        digest: Some(digest),
    };
    match public {
        PublicKey::Rsa { allowed, .. } => match allowed {
            RsaUse::Any => vec![pkcs1, pss],
            RsaUse::PssOnly => vec![pss],
        },
        PublicKey::Ec { .. } => vec![Scheme::Ecdsa],
        PublicKey::Edwards { .. } => vec![Scheme::EdDsa],
    }
}

/// The mechanisms that take a digest's value, the best first.
pub fn ways(public: &PublicKey, scheme: &Scheme) -> Vec<Way> {
    match *scheme {
        Scheme::Ecdsa => vec![(Mechanism::Ecdsa, Form::AsItIs)],
        Scheme::EdDsa => vec![(eddsa(public), Form::AsItIs)],
        Scheme::RsaPkcs1 { digest } => vec![
            (
                Mechanism::RsaPkcs,
                digest.map_or(Form::AsItIs, Form::DigestInfo),
            ),
            (Mechanism::RsaX509, Form::Pkcs1(digest)),
        ],
        Scheme::RsaRaw => vec![(Mechanism::RsaX509, Form::AsItIs)],
        Scheme::RsaPss { digest, mgf1, salt } => {
            let form = Form::Pss { digest, mgf1, salt };
            // Tokens take one digest for both, and only those that PKCS#11 2.x names.
            let own = (digest == mgf1)
                .then(|| pss_params(digest, salt))
                .flatten()
                .map(|params| (Mechanism::RsaPkcsPss(params), Form::AsItIs));
            own.into_iter()
                .chain([(Mechanism::RsaX509, form)])
                .collect()
        }
    }
}

/// The mechanism that hashes with `digest` and signs by `scheme`, of those that PKCS#11 2.x names.
pub fn combined(scheme: &Scheme, digest: Digest) -> Option<Mechanism<'static>> {
    Some(match (scheme, digest) {
        (Scheme::Ecdsa, Digest::Sha1) => Mechanism::EcdsaSha1,
        (Scheme::Ecdsa, Digest::Sha224) => Mechanism::EcdsaSha224,
        (Scheme::Ecdsa, Digest::Sha256) => Mechanism::EcdsaSha256,
        (Scheme::Ecdsa, Digest::Sha384) => Mechanism::EcdsaSha384,
        (Scheme::Ecdsa, Digest::Sha512) => Mechanism::EcdsaSha512,
        (Scheme::RsaPkcs1 { .. }, Digest::Sha1) => Mechanism::Sha1RsaPkcs,
        (Scheme::RsaPkcs1 { .. }, Digest::Sha224) => Mechanism::Sha224RsaPkcs,
        (Scheme::RsaPkcs1 { .. }, Digest::Sha256) => Mechanism::Sha256RsaPkcs,
        (Scheme::RsaPkcs1 { .. }, Digest::Sha384) => Mechanism::Sha384RsaPkcs,
        (Scheme::RsaPkcs1 { .. }, Digest::Sha512) => Mechanism::Sha512RsaPkcs,
        (Scheme::RsaPss { mgf1, salt, .. }, _) if *mgf1 == digest => {
            let params = pss_params(digest, *salt)?;
            match digest {
                Digest::Sha1 => Mechanism::Sha1RsaPkcsPss(params),
                Digest::Sha256 => Mechanism::Sha256RsaPkcsPss(params),
                Digest::Sha384 => Mechanism::Sha384RsaPkcsPss(params),
                Digest::Sha512 => Mechanism::Sha512RsaPkcsPss(params),
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// The mechanism that only hashes.
pub fn token_hash(digest: Digest) -> Option<Mechanism<'static>> {
    Some(match digest {
        Digest::Sha1 => Mechanism::Sha1,
        Digest::Sha224 => Mechanism::Sha224,
        Digest::Sha256 => Mechanism::Sha256,
        Digest::Sha384 => Mechanism::Sha384,
        Digest::Sha512 => Mechanism::Sha512,
        _ => return None,
    })
}

/// Ed448 takes a parameter, Ed25519 must not have one (PKCS#11 v3.0 §2.3.14).
fn eddsa(public: &PublicKey) -> Mechanism<'static> {
    let scheme = match public {
        PublicKey::Edwards {
            curve: Edwards::Ed448,
            ..
        } => EddsaSignatureScheme::Ed448(b""),
        _ => EddsaSignatureScheme::Ed25519,
    };
    Mechanism::Eddsa(EddsaParams::new(scheme))
}

fn pss_params(digest: Digest, salt: usize) -> Option<PkcsPssParams> {
    let (hash_alg, mgf) = match digest {
        Digest::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        Digest::Sha224 => (MechanismType::SHA224, PkcsMgfType::MGF1_SHA224),
        Digest::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        Digest::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        Digest::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        _ => return None,
    };
    Some(PkcsPssParams {
        hash_alg,
        mgf,
        s_len: salt.try_into().ok()?,
    })
}
