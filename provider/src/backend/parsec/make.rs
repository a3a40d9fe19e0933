//! New keys.

use parsec_client::core::interface::operations::list_keys::KeyInfo;
use parsec_client::core::interface::operations::psa_algorithm::AsymmetricSignature;
use parsec_client::core::interface::operations::psa_key_attributes::{
    Attributes, Lifetime, Policy, Type, UsageFlags,
};
use parsec_client::core::interface::operations::{psa_destroy_key, psa_generate_key};

use super::find::load;
use super::policy::hash;
use super::providers::{first, named, title};
use super::public::curve_family;
use super::service::{Service, Trouble};
use crate::backend::Found;
use crate::config::Config;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::{Curve, Input, Key, NewKey, PublicKey, RsaUse, Scheme};
use crate::uri::ParsecUri;

/// Makes a key under the name that `uri` has, for signatures, in the provider that it names or the
/// service's first one.
pub fn generate(config: &Config, uri: &ParsecUri, kind: NewKey) -> Result<Key> {
    let name = uri.key.clone().ok_or_else(|| {
        Error::new(
            Reason::InvalidUri,
            format!("making a key as {uri}: it needs a name; write hwkey_uri:parsec:NAME"),
        )
    })?;
    let attributes = attributes(kind)?;
    let service = Service::of(config, uri)?;
    let provider = match uri.provider {
        Some(provider) => named(provider, &service)?,
        None => first(&service)?,
    };
    let key = KeyInfo {
        provider_id: provider,
        name,
        attributes,
    };
    let attempted = format!(
        "making key \"{}\" on {service}, {}",
        key.name,
        title(provider)
    );
    refuse_second(&service, &key, &attempted)?;
    let question = psa_generate_key::Operation {
        key_name: key.name.clone(),
        attributes,
    };
    let made = service.ask_once(provider, question.into());
    made.map_err(|trouble| {
        let may_exist = matches!(trouble, Trouble::Closed | Trouble::TimedOut(_));
        let error = service.failed(|| attempted.clone())(trouble);
        match may_exist {
            true => error.and("parsec-tool list-keys shows whether it was made"),
            false => error,
        }
    })?;
    usable(&service, uri, &key).map_err(|error| {
        // It would be in the way of the next attempt.
        let question = || psa_destroy_key::Operation {
            key_name: key.name.clone(),
        };
        if let Err(trouble) = service.ask(provider, || question().into()) {
            log::warn!("{attempted}: deleting it again failed: {trouble:?}");
        }
        error.within(&attempted)
    })
}

/// The new key, if it can be read back, and signs: providers make keys that they can't use (P-521 in TPMs,
/// RSA-PSS in TPMs and tokens).
fn usable(service: &Service, uri: &ParsecUri, new: &KeyInfo) -> Result<Key> {
    let Found::Key(key) = load(service, uri, new)? else {
        return Err(Error::new(Reason::Internal, "the new key is none"));
    };
    let digest = key.default_digest();
    let scheme = match key.public() {
        PublicKey::Rsa {
            allowed: RsaUse::PssOnly,
            ..
        } => Scheme::RsaPss {
            digest,
            mgf1: digest,
            salt: digest.size(),
        },
        PublicKey::Rsa { .. } => Scheme::RsaPkcs1 {
            digest: Some(digest),
        },
        _ => Scheme::Ecdsa,
    };
    let mut signature = vec![0; 2 * key.public().bits().div_ceil(8)];
    key.sign(&scheme, Input::Data(&digest.hash(b"")), &mut signature)?;
    Ok(key)
}

/// Providers that share a key_manager share the names in it, too: the second key would be the end of the
/// first one.
fn refuse_second(service: &Service, new: &KeyInfo, attempted: &str) -> Result<()> {
    let keys = service.keys();
    let keys = keys.map_err(service.failed(|| attempted.to_owned()))?;
    let Some(there) = keys.iter().find(|key| key.name == new.name) else {
        return Ok(());
    };
    Err(Error::new(
        Reason::OperationNotAllowed,
        format!(
            "{attempted}: the {} has a key of this name; take another name, or delete that key first: \
             parsec-tool --provider {} delete-key --key-name {}",
            title(there.provider_id),
            there.provider_id as u8,
            there.name
        ),
    ))
}

fn attributes(kind: NewKey) -> Result<Attributes> {
    let sha256 = hash(Digest::Sha256).into();
    let (key_type, bits, alg) = match kind {
        NewKey::Ec(curve) => (
            Type::EccKeyPair {
                curve_family: curve_family(curve),
            },
            curve.bits(),
            AsymmetricSignature::Ecdsa {
                hash_alg: hash(fitting(curve)).into(),
            },
        ),
        NewKey::Rsa {
            exponent: Some(exponent),
            ..
        } if exponent != 65_537 => {
            return Err(Error::new(
                Reason::UnsupportedKey,
                format!(
                    "making an RSA key with the exponent {exponent}: Parsec makes them with 65537"
                ),
            ));
        }
        NewKey::Rsa { bits, .. } if !(512..=16_384).contains(&bits) => {
            return Err(Error::new(
                Reason::UnsupportedKey,
                format!("making an RSA key of {bits} bits: take 2048, or what the provider has"),
            ));
        }
        NewKey::Rsa { bits, allowed, .. } => (
            Type::RsaKeyPair,
            bits,
            match allowed {
                RsaUse::Any => AsymmetricSignature::RsaPkcs1v15Sign { hash_alg: sha256 },
                RsaUse::PssOnly => AsymmetricSignature::RsaPss { hash_alg: sha256 },
            },
        ),
    };
    let mut usage_flags = UsageFlags::default();
    usage_flags.set_sign_hash().set_verify_hash();
    Ok(Attributes {
        lifetime: Lifetime::Persistent,
        key_type,
        bits,
        policy: Policy {
            usage_flags,
            permitted_algorithms: alg.into(),
        },
    })
}

/// The digest of the curve's strength, which TLS 1.3 wants with it (RFC 8446 §4.2.3).
fn fitting(curve: Curve) -> Digest {
    match curve.bits() {
        ..=256 => Digest::Sha256,
        257..=384 => Digest::Sha384,
        _ => Digest::Sha512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_signs_with_the_digest_that_tls_wants_of_its_curve() {
        for (curve, digest) in [
            (Curve::P256, Digest::Sha256),
            (Curve::P384, Digest::Sha384),
            (Curve::P521, Digest::Sha512),
        ] {
            let policy = super::super::policy::Policy::from(attributes(NewKey::Ec(curve)).unwrap());
            assert!(policy.allow(Some(digest)).is_ok());
            assert_eq!(policy.only_digest(), Some(digest));
        }
        let exponent = NewKey::Rsa {
            bits: 2048,
            exponent: Some(3),
            allowed: RsaUse::Any,
        };
        assert!(attributes(exponent).is_err());
        let endless = NewKey::Rsa {
            bits: 1 << 32,
            exponent: None,
            allowed: RsaUse::Any,
        };
        assert!(attributes(endless).is_err());
    }
}
