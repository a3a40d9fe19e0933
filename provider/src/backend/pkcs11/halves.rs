//! The halves of a key pair: which belong together, and the public one of a private key.

use cryptoki::object::ObjectClass;
use p11_raw::Session;

use super::attempt::{Attempt, Failure};
use super::object::{Object, Pattern};
use super::token::Token;
use crate::encoding::certificate::is_rsa_encryption;
use crate::error::{Error, Reason};
use crate::key::PublicKey;
use crate::uri::pkcs11::ObjectType;

/// A key pair is listed as its private half, where that can be seen.
pub fn is_half_of_another(object: &Object, objects: &[Object]) -> bool {
    object.class == ObjectType::Public
        && objects
            .iter()
            .any(|other| other.class == ObjectType::Private && other.pattern() == object.pattern())
}

/// The public half of the private key `object`: the public key object with its id or label, else
/// its own attributes.
pub fn public_half(
    token: &Token,
    session: &Session,
    object: &Object,
    known: &[Object],
) -> Attempt<PublicKey> {
    let public = find_public_half(token, session, object, known)?;
    let allowed = object.allowed_mechanisms();
    let is_pss = allowed.is_some_and(|allowed| allowed.are_rsa_pss());
    match is_pss && !has_plain_certificate(token, session, object)? {
        true => Ok(public.for_pss_only()),
        false => Ok(public),
    }
}

/// Whether the token has a certificate for the key `object` that says rsaEncryption, not RSASSA-PSS:
/// OpenSSL takes a key only with a certificate of its own type.
fn has_plain_certificate(token: &Token, session: &Session, object: &Object) -> Attempt<bool> {
    let pattern = Pattern {
        label: None,
        ..object.pattern()
    };
    if pattern.id.is_none() {
        return Ok(false);
    }
    let class = Some(ObjectClass::CERTIFICATE);
    let attempted = || format!("searching {} for a certificate", token.identity);
    let certificates = Object::find(token, session, &pattern, class);
    let certificates = certificates.map_err(Failure::of(attempted))?;
    Ok(certificates.iter().any(|certificate| {
        let der = certificate.certificate(token, session);
        der.is_ok_and(|der| is_rsa_encryption(&der))
    }))
}

fn find_public_half(
    token: &Token,
    session: &Session,
    object: &Object,
    known: &[Object],
) -> Attempt<PublicKey> {
    let is_half = |other: &&Object| {
        other.class == ObjectType::Public
            && match object.id.is_empty() {
                true => other.label == object.label,
                false => other.id == object.id,
            }
    };
    if let Some(public) = known.iter().find(is_half) {
        if let Some(key) = public.public_key(token)? {
            return Ok(key);
        }
    }
    if let Some(key) = object.public_key(token)? {
        return Ok(key);
    }
    // The other half may have another label.
    let pattern = Pattern {
        label: None,
        ..object.pattern()
    };
    if pattern.id.is_some() {
        let class = Some(ObjectClass::PUBLIC_KEY);
        let attempted = || format!("searching {} for a public key", token.identity);
        let halves = Object::find(token, session, &pattern, class);
        let halves = halves.map_err(Failure::of(attempted))?;
        for half in &halves {
            if let Some(key) = half.public_key(token)? {
                return Ok(key);
            }
        }
    }
    let (name, identity) = (object.name(), &token.identity);
    let message = format!(
        "the private key \"{name}\" on {identity} has no public half there; write the public key to \
         the token with the same id (pkcs11-tool --write-object FILE --type pubkey --id ID)"
    );
    Err(Error::new(Reason::NoSuchKey, message).into())
}
