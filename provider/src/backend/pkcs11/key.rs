//! A private key on a PKCS#11 token.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectClass;
use ossl_shim::process::PerProcess;
use p11_raw::ObjectHandle;

use super::attempt::{Attempt, Failure, attempt};
use super::login::{log_in, log_in_for_key};
use super::object::{Object, Pattern};
use super::search::public_half;
use super::sessions::Lease;
use super::token::Token;
use crate::backend::Login;
use crate::digest::Digest;
use crate::encoding::digest_info::digest_info;
use crate::encoding::pss;
use crate::error::{Error, Reason, Result};
use crate::key::{Edwards, HardwareKey, PublicKey, Scheme};
use crate::pin::PinPolicy;
use crate::uri::pkcs11::ObjectType;

/// The key. It finds itself again after a fork or a loss.
pub struct Pkcs11Key {
    token: &'static Token,
    public: PublicKey,
    uri: String,
    name: String,
    pattern: Pattern,
    may_sign: bool,
    always_authenticate: bool,
    policy: PinPolicy,
    /// Where the key is now, in this process.
    place: PerProcess<Mutex<Option<Place>>>,
}

/// An object handle and the epoch of the sessions it is good for.
#[derive(Clone, Copy)]
struct Place {
    epoch: u64,
    handle: ObjectHandle,
}

/// What to send: a mechanism and its input.
struct Plan<'a> {
    mechanism: Mechanism<'static>,
    input: Cow<'a, [u8]>,
}

impl Pkcs11Key {
    pub fn new(
        token: &'static Token,
        object: &Object,
        public: PublicKey,
        policy: &PinPolicy,
        epoch: u64,
    ) -> Self {
        let place = Place {
            epoch,
            handle: object.handle,
        };
        let key = Self {
            token,
            public,
            uri: object.uri(token).to_string(),
            name: object.name(),
            pattern: object.pattern(),
            may_sign: object.may_sign(),
            always_authenticate: object.always_authenticate(),
            policy: policy.clone(),
            place: PerProcess::new(),
        };
        *key.place() = Some(place);
        key
    }

    fn place(&self) -> MutexGuard<'_, Option<Place>> {
        let place = self.place.get(Mutex::default);
        place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempted(&self) -> String {
        format!("signing on {}, key \"{}\"", self.token.identity, self.name)
    }

    /// One signature from start to end on one session.
    fn sign_on(&self, session: &Lease, plan: &Plan<'_>, signature: &mut [u8]) -> Attempt<usize> {
        let handle = self.handle(session)?;
        let raw = self.token.module.raw();
        raw.sign_init(session, &plan.mechanism, handle)
            .map_err(Failure::of(|| self.attempted()))?;
        if self.always_authenticate {
            log_in_for_key(self.token, session, &self.policy)?;
        }
        raw.sign(session, &plan.input, signature)
            .map_err(Failure::of(|| self.attempted()))
    }

    /// The key's handle in the epoch of `session`.
    fn handle(&self, session: &Lease) -> Attempt<ObjectHandle> {
        if let Some(place) = *self.place() {
            if place.epoch == session.epoch {
                return Ok(place.handle);
            }
        }
        let handle = self.find_again(session)?;
        *self.place() = Some(Place {
            epoch: session.epoch,
            handle,
        });
        Ok(handle)
    }

    fn find_again(&self, session: &Lease) -> Attempt<ObjectHandle> {
        log::debug!("finding {} again", self.uri);
        // Both halves, as at the first load.
        let halves = Object::find(self.token, session, &self.pattern, None)
            .map_err(Failure::of(|| self.attempted()))?;
        let found: Vec<&Object> = halves
            .iter()
            .filter(|object| object.class == ObjectType::Private)
            .collect();
        let [object] = found[..] else {
            return Err(self.refused(
                Reason::NoSuchKey,
                &format!("there are {} such keys now", found.len()),
            ));
        };
        if public_half(self.token, session, object, &halves)? != self.public {
            return Err(self.refused(
                Reason::KeyChanged,
                "the key with this name has another public half now",
            ));
        }
        Ok(object.handle)
    }

    #[track_caller]
    fn refused(&self, reason: Reason, problem: &str) -> Failure {
        let attempted = self.attempted();
        let message = format!("{attempted}: {problem}; load the key again");
        Failure::Final(Error::new(reason, message))
    }

    #[track_caller]
    fn not_verified(&self, problem: &str) -> Error {
        Error::new(
            Reason::OperationNotAllowed,
            format!(
                "verifying on {}, key \"{}\": {problem}; verify with the public key instead (openssl \
                 pkey -in URI -pubout)",
                self.token.identity, self.name
            ),
        )
    }

    /// Ed448 takes a parameter, Ed25519 must not have one (PKCS#11 v3.0 §2.3.14).
    fn eddsa_mechanism(&self) -> Mechanism<'static> {
        let scheme = match self.public {
            PublicKey::Edwards {
                curve: Edwards::Ed448,
                ..
            } => EddsaSignatureScheme::Ed448(b""),
            _ => EddsaSignatureScheme::Ed25519,
        };
        Mechanism::Eddsa(EddsaParams::new(scheme))
    }

    /// The mechanism for `scheme`, and its input made from `data`.
    fn plan<'a>(&self, scheme: &Scheme, data: &'a [u8]) -> Result<Plan<'a>> {
        let plan = |mechanism, input| Ok(Plan { mechanism, input });
        match *scheme {
            Scheme::Ecdsa => plan(Mechanism::Ecdsa, Cow::Borrowed(data)),
            Scheme::EdDsa => plan(self.eddsa_mechanism(), Cow::Borrowed(data)),
            Scheme::RsaPkcs1 { digest: None } => plan(Mechanism::RsaPkcs, Cow::Borrowed(data)),
            Scheme::RsaPkcs1 {
                digest: Some(digest),
            } => plan(Mechanism::RsaPkcs, digest_info(digest, data)?.into()),
            Scheme::RsaRaw => plan(Mechanism::RsaX509, Cow::Borrowed(data)),
            Scheme::RsaPss { digest, mgf1, salt } => {
                // Tokens take one digest for both, and only those that PKCS#11 2.x names; else,
                // and where a token has only raw RSA, the padding is made here.
                match (digest == mgf1)
                    .then(|| pss_mechanism(digest, salt))
                    .flatten()
                {
                    Some(mechanism) if self.token.has_pss()? => {
                        plan(mechanism, Cow::Borrowed(data))
                    }
                    _ => {
                        let encoded = pss::encode(data, digest, mgf1, salt, self.public.bits())?;
                        plan(Mechanism::RsaX509, encoded.into())
                    }
                }
            }
        }
    }
}

impl HardwareKey for Pkcs11Key {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn uri(&self) -> String {
        self.uri.clone()
    }

    fn place(&self) -> String {
        self.token.identity.to_string()
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn allows(&self, scheme: &Scheme) -> Result<()> {
        if self.may_sign {
            return Ok(());
        }
        Err(Error::new(
            Reason::OperationNotAllowed,
            format!(
                "{} by {scheme}: the key's CKA_SIGN is false; make a key with usage \"sign\"",
                self.attempted()
            ),
        ))
    }

    fn sign(&self, scheme: &Scheme, data: &[u8], signature: &mut [u8]) -> Result<usize> {
        let plan = self.plan(scheme, data)?;
        // In a forked child and after a loss this is where the PIN is asked for again.
        let log_in = || log_in(self.token, &self.policy, None, &mut Login::unattended());
        attempt(self.token, log_in, |session| {
            self.sign_on(session, &plan, signature)
        })
    }

    /// By the token with its public key object: OpenSSL comes here only for a key that was loaded
    /// from it.
    fn verify(&self, scheme: &Scheme, data: &[u8], signature: &[u8]) -> Result<bool> {
        let plan = self.plan(scheme, data)?;
        if matches!(scheme, Scheme::RsaPss { .. }) && matches!(plan.mechanism, Mechanism::RsaX509) {
            return Err(self.not_verified("the token does not take these PSS parameters"));
        }
        attempt(
            self.token,
            || Ok(()),
            |session| {
                let class = Some(ObjectClass::PUBLIC_KEY);
                let attempted = || format!("verifying on {}", self.token.identity);
                let found = Object::find(self.token, session, &self.pattern, class)
                    .map_err(Failure::of(attempted))?;
                let Some(public) = found.first() else {
                    return Err(self.not_verified("it has no public key object").into());
                };
                let raw = self.token.module.raw();
                raw.verify(
                    session,
                    &plan.mechanism,
                    public.handle,
                    &plan.input,
                    signature,
                )
                .map_err(Failure::of(attempted))
            },
        )
    }
}

fn pss_mechanism(digest: Digest, salt: usize) -> Option<Mechanism<'static>> {
    let (hash_alg, mgf) = pss_digest(digest)?;
    Some(Mechanism::RsaPkcsPss(PkcsPssParams {
        hash_alg,
        mgf,
        s_len: salt.try_into().ok()?,
    }))
}

/// The digests that tokens of PKCS#11 2.x know in PSS parameters.
fn pss_digest(digest: Digest) -> Option<(MechanismType, PkcsMgfType)> {
    Some(match digest {
        Digest::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        Digest::Sha224 => (MechanismType::SHA224, PkcsMgfType::MGF1_SHA224),
        Digest::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        Digest::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        Digest::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        _ => return None,
    })
}
