//! Which mechanism makes a signature, and of what input.

use std::borrow::Cow;

use cryptoki::mechanism::Mechanism;
use p11_raw::Mechanisms;

use super::mechanisms::{Way, combined, schemes, token_hash, ways};
use super::token::Token;
use crate::backend::names::some_of;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::{Input, PublicKey, Scheme};

/// What to ask of the token.
pub enum Plan<'a> {
    Sign(Signing<'a>),
    /// The token hashes first; its value is then signed by a plan of its own.
    Hash {
        mechanism: Mechanism<'static>,
        message: &'a [u8],
    },
}

/// One C_SignInit and its C_Sign.
pub struct Signing<'a> {
    pub mechanism: Mechanism<'static>,
    pub input: Cow<'a, [u8]>,
}

/// What a key and its token can do, as far as the choice depends on it.
pub struct Abilities {
    pub token: &'static Token,
    /// CKA_ALLOWED_MECHANISMS; `None` allows all.
    pub allowed: Option<Mechanisms>,
    /// `digest = token`.
    pub hashes_in_token: bool,
}

impl Abilities {
    /// Whether the whole message has to be kept until the signature is made: some scheme of the key
    /// may have no mechanism that takes a digest's value.
    pub fn wants_messages(&self, public: &PublicKey) -> bool {
        let is_raw = |scheme: &Scheme| self.raw_ways(public, scheme).next().is_some();
        self.hashes_in_token
            || (self.allowed.is_some() && !schemes(public, Digest::Sha256).iter().all(is_raw))
    }

    /// Whether a signature over `digest` is possible at all; asked before there is any padding, and
    /// without the token.
    pub fn allow(&self, public: &PublicKey, digest: Digest) -> Result<()> {
        if self.hashes_in_token && token_hash(digest).is_none() {
            return Err(Error::new(
                Reason::UnsupportedDigest,
                format!(
                    "{} in the token: PKCS#11 2.x has SHA-1 and SHA-2 only; choose one of them, or set \
                     digest = host",
                    digest.name()
                ),
            ));
        }
        if self.allowed.is_none() {
            return Ok(());
        }
        if self.signs_over(public, digest) {
            return Ok(());
        }
        let mut digests = Digest::ALL.iter();
        if !digests.any(|digest| self.signs_over(public, *digest)) {
            let cure = "make a key for signing";
            return Err(self.not_allowed(Reason::OperationNotAllowed, "signs", cure));
        }
        Err(self.not_allowed(
            Reason::UnsupportedDigest,
            &format!("signs over {}", digest.name()),
            "choose another digest",
        ))
    }

    /// The plan for signing `input` by `scheme` with the key that has this public half.
    pub fn plan<'a>(
        &self,
        public: &PublicKey,
        scheme: &Scheme,
        input: Input<'a>,
    ) -> Result<Plan<'a>> {
        match input {
            Input::Data(data) => self.hashed(public, scheme, data).map(Plan::Sign),
            Input::Message { digest, message } if self.hashes_in_token => {
                self.in_token(scheme, digest, message)
            }
            Input::Message { digest, message } => {
                if self.raw_ways(public, scheme).next().is_some() {
                    let hashed = digest.hash(message);
                    let signing = self.hashed(public, scheme, &hashed)?;
                    return Ok(Plan::Sign(signing.into_owned()));
                }
                let whole = self.whole(scheme, digest, message).map(Plan::Sign);
                whole.ok_or_else(|| self.nothing_for(scheme, CHOOSE_OTHERS))
            }
        }
    }

    /// By a mechanism that takes what has been hashed already. `data` is the digest's value.
    pub fn hashed<'a>(
        &self,
        public: &PublicKey,
        scheme: &Scheme,
        data: &'a [u8],
    ) -> Result<Signing<'a>> {
        let mut ways: Vec<Way> = self.raw_ways(public, scheme).collect();
        // A single one is not worth a question: the token says so if it lacks it.
        let best = match ways.len() {
            0 => return Err(self.nothing_for(scheme, GIVE_THE_MESSAGE)),
            1 => 0,
            _ => {
                let mut ways = ways.iter();
                let there = ways.position(|(mechanism, _)| self.token_has(mechanism));
                there.unwrap_or(0)
            }
        };
        let (mechanism, form) = ways.swap_remove(best);
        let input = form.of(public, data)?;
        Ok(Signing { mechanism, input })
    }

    /// Both steps in the token: by one mechanism, or by two.
    fn in_token<'a>(&self, scheme: &Scheme, digest: Digest, message: &'a [u8]) -> Result<Plan<'a>> {
        if let Some(signing) = self.whole(scheme, digest, message) {
            return Ok(Plan::Sign(signing));
        }
        match token_hash(digest).filter(|mechanism| self.token_has(mechanism)) {
            Some(mechanism) => Ok(Plan::Hash { mechanism, message }),
            None => Err(Error::new(
                Reason::UnsupportedDigest,
                format!(
                    "the token does not hash with {} (pkcs11-tool --list-mechanisms shows what it has); \
                     choose another digest, or set digest = host",
                    digest.name()
                ),
            )),
        }
    }

    /// By one mechanism that hashes and signs.
    fn whole<'a>(&self, scheme: &Scheme, digest: Digest, message: &'a [u8]) -> Option<Signing<'a>> {
        let mechanism = combined(scheme, digest).filter(|way| self.allows(way));
        let mechanism = mechanism.filter(|mechanism| self.token_has(mechanism))?;
        Some(Signing {
            mechanism,
            input: Cow::Borrowed(message),
        })
    }

    /// Whether the key may sign over `digest` by any scheme and mechanism.
    fn signs_over(&self, public: &PublicKey, digest: Digest) -> bool {
        schemes(public, digest).iter().any(|scheme| {
            let whole = combined(scheme, digest);
            self.raw_ways(public, scheme).next().is_some()
                || whole.is_some_and(|mechanism| self.allows(&mechanism))
        })
    }

    /// The allowed ways that take a digest's value, the best first.
    fn raw_ways(&self, public: &PublicKey, scheme: &Scheme) -> impl Iterator<Item = Way> {
        let ways = ways(public, scheme).into_iter();
        ways.filter(|(mechanism, _)| self.allows(mechanism))
    }

    fn allows(&self, mechanism: &Mechanism<'_>) -> bool {
        let allowed = self.allowed.as_ref();
        allowed.is_none_or(|allowed| allowed.has(mechanism.mechanism_type()))
    }

    /// Whether the token lists the mechanism. One that gives no list is asked when it signs.
    fn token_has(&self, mechanism: &Mechanism<'_>) -> bool {
        match self.token.mechanisms() {
            Ok(known) => known.has(mechanism.mechanism_type()),
            Err(error) => {
                log::debug!("{error}");
                true
            }
        }
    }

    #[track_caller]
    fn nothing_for(&self, scheme: &Scheme, cure: &str) -> Error {
        let what = format!("makes {scheme} of it");
        self.not_allowed(Reason::OperationNotAllowed, &what, cure)
    }

    #[track_caller]
    fn not_allowed(&self, reason: Reason, what: &str, cure: &str) -> Error {
        let names = self.allowed.as_ref().map(Mechanisms::names);
        let allowed = some_of(&names.unwrap_or_default());
        let problem = format!(
            "the key's CKA_ALLOWED_MECHANISMS are {allowed}, and none of them {what}; {cure}"
        );
        Error::new(reason, problem)
    }
}

impl Signing<'_> {
    fn into_owned(self) -> Signing<'static> {
        Signing {
            mechanism: self.mechanism,
            input: self.input.into_owned().into(),
        }
    }
}

const GIVE_THE_MESSAGE: &str = "choose another padding or digest, or give the message instead of its \
                                digest (openssl dgst -sign, pkeyutl -rawin)";

const CHOOSE_OTHERS: &str = "choose another padding or digest (for TLS in SignatureAlgorithms, such as \
                             RSA+SHA256)";
