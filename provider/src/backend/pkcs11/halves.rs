//! The halves of a key pair: which belong together, and the public one of a private key.

use cryptoki::object::ObjectClass;
use p11_raw::Session;

use super::attempt::{Attempt, Failure, passing_over};
use super::object::Object;
use super::token::Token;
use crate::encoding::certificate;
use crate::encoding::public_key::{of_subject_public_key_info, subject_public_key_info};
use crate::error::{Error, Reason, Result};
use crate::key::PublicKey;
use crate::uri::pkcs11::ObjectType;

/// A key pair is listed as its private half, where that can be seen.
pub fn is_half_of_another(object: &Object, objects: &[Object]) -> bool {
    object.class == ObjectType::Public
        && objects
            .iter()
            .any(|other| other.class == ObjectType::Private && other.pattern() == object.pattern())
}

/// The public half of the private key `object`: its own attributes, else the public key object with its
/// id or label, else the certificate with its id.
pub fn public_half(
    token: &Token,
    session: &Session,
    object: &Object,
    known: &[Object],
) -> Attempt<PublicKey> {
    let public = find_public_half(token, session, object, known)?;
    let allowed = object.allowed_mechanisms();
    let is_pss = allowed.is_some_and(|allowed| allowed.are_rsa_pss());
    if is_pss && !has_plain_certificate(token, session, object, &public)? {
        return Ok(public.for_pss_only());
    }
    Ok(public)
}

/// Whether the token has a certificate for the key `object` that says rsaEncryption, not RSASSA-PSS:
/// OpenSSL takes a key only with a certificate of its own type.
fn has_plain_certificate(
    token: &Token,
    session: &Session,
    object: &Object,
    public: &PublicKey,
) -> Attempt<bool> {
    let plain = subject_public_key_info(public)?;
    for certificate in with_its_id(token, session, object, ObjectClass::CERTIFICATE)? {
        let der = passing_over(certificate.certificate(token, session))?;
        if der.is_ok_and(|der| certificate::public_key(&der).as_ref() == Some(&plain)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The objects of a class with the id of `object`, whatever their labels.
fn with_its_id(
    token: &Token,
    session: &Session,
    object: &Object,
    class: ObjectClass,
) -> Attempt<Vec<Object>> {
    let pattern = object.pattern().of_other_half();
    if pattern.id.is_none() {
        return Ok(Vec::new());
    }
    let attempted = || format!("searching {} for what has the id of a key", token.identity);
    Object::find(token, session, &pattern, Some(class)).map_err(Failure::of(attempted))
}

fn find_public_half(
    token: &Token,
    session: &Session,
    object: &Object,
    known: &[Object],
) -> Attempt<PublicKey> {
    // RSA's is in the private half; nothing can be surer.
    if let Some(own) = object.public_key(token)? {
        return Ok(own);
    }
    if let Some(public) = only_public_key(token, object, known)? {
        return Ok(public);
    }
    // The other half may have another label.
    let halves = with_its_id(token, session, object, ObjectClass::PUBLIC_KEY)?;
    if let Some(public) = only_public_key(token, object, &halves)? {
        return Ok(public);
    }
    if let Some(public) = certified(token, session, object)? {
        return Ok(public);
    }
    let (name, identity) = (object.name(), &token.identity);
    let message = format!(
        "the private key \"{name}\" on {identity} has no public half there; write its public key or \
         certificate to the token with the same id (pkcs11-tool --write-object FILE --type pubkey --id \
         ID)"
    );
    Err(Error::new(Reason::NoSuchKey, message).into())
}

/// The public key in the certificate with the id of the private key `object`.
fn certified(token: &Token, session: &Session, object: &Object) -> Attempt<Option<PublicKey>> {
    let mut publics = Vec::new();
    for certificate in with_its_id(token, session, object, ObjectClass::CERTIFICATE)? {
        let der = passing_over(certificate.certificate(token, session))?;
        let info = der.ok().and_then(|der| certificate::public_key(&der));
        let public = info.map(|info| of_subject_public_key_info(&info));
        publics.extend(public.and_then(Result::ok));
    }
    Ok(only_one(
        token,
        object,
        "certificates with several keys",
        publics,
    )?)
}

/// The public key among `others` that has the id (or the label) of the private key `object`.
fn only_public_key(token: &Token, object: &Object, others: &[Object]) -> Result<Option<PublicKey>> {
    let is_half = |other: &&Object| {
        other.class == ObjectType::Public
            && match object.id.is_empty() {
                true => other.label == object.label,
                false => other.id == object.id,
            }
    };
    let halves = others.iter().filter(is_half);
    let publics = halves.filter_map(|half| half.public_key(token).transpose());
    let publics = publics.collect::<Result<Vec<PublicKey>>>()?;
    only_one(token, object, "several public keys", publics)
}

/// Different ones are an error: one of them is left over from a key that was deleted, and to sign under
/// the wrong one is worse than not to sign.
fn only_one(
    token: &Token,
    object: &Object,
    several: &str,
    mut publics: Vec<PublicKey>,
) -> Result<Option<PublicKey>> {
    publics.dedup();
    if publics.len() < 2 {
        return Ok(publics.pop());
    }
    Err(Error::new(
        Reason::AmbiguousKey,
        format!(
            "the private key \"{}\" on {} has {several} with its {}, of which one at most is its own; \
             delete the others (pkcs11-tool --delete-object --type pubkey, or cert), or make the key \
             anew under another id",
            object.name(),
            token.identity,
            if object.id.is_empty() { "label" } else { "id" }
        ),
    ))
}
