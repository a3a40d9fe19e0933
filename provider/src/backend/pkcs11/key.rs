//! A private key on a PKCS#11 token.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectClass;
use ossl_shim::process::PerProcess;
use p11_raw::ObjectHandle;

use super::attempt::{Attempt, Failure, attempt};
use super::halves::public_half;
use super::login::{log_in, log_in_for_key, pin_for_key, still_logged_in};
use super::object::{Object, Pattern};
use super::plan::{Abilities, Plan, Signing};
use super::sessions::{Lease, LoginState};
use super::token::Token;
use super::touch::touched;
use crate::backend::Login;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::{HardwareKey, Input, PublicKey, Scheme};
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
    abilities: Abilities,
    always_authenticate: bool,
    /// It was found without a login: the token does without one for this key.
    shows_to_everybody: bool,
    policy: PinPolicy,
    /// Where the key is now, in this process.
    place: PerProcess<Mutex<Option<Place>>>,
}

/// What openssl.cnf and the URI say of the use of a key.
pub struct KeyPolicy {
    pub pin: PinPolicy,
    /// `digest = token`.
    pub hashes_in_token: bool,
}

/// An object handle and the epoch of the sessions it is good for.
#[derive(Clone, Copy)]
struct Place {
    epoch: u64,
    handle: ObjectHandle,
}

impl Pkcs11Key {
    pub fn new(
        token: &'static Token,
        object: &Object,
        public: PublicKey,
        policy: &KeyPolicy,
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
            abilities: Abilities {
                token,
                allowed: object.allowed_mechanisms(),
                hashes_in_token: policy.hashes_in_token,
            },
            always_authenticate: object.always_authenticate(),
            shows_to_everybody: token.sessions().login() == LoginState::LoggedOut,
            policy: policy.pin.clone(),
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

    /// The signature that was planned, on one session.
    fn follow(
        &self,
        plan: &Plan<'_>,
        scheme: &Scheme,
        session: &Lease,
        signature: &mut [u8],
    ) -> Attempt<usize> {
        let (mechanism, message) = match plan {
            Plan::Sign(signing) => return self.sign_on(session, signing, signature),
            Plan::Hash { mechanism, message } => (mechanism, message),
        };
        let hashed = self.token.module.raw().digest(session, mechanism, message);
        let hashed = hashed.map_err(Failure::of(|| {
            format!("hashing on {}", self.token.identity)
        }))?;
        let signing = self.abilities.hashed(&self.public, scheme, &hashed)?;
        self.sign_on(session, &signing, signature)
    }

    /// One signature from start to end on one session.
    fn sign_on(&self, session: &Lease, plan: &Signing<'_>, signature: &mut [u8]) -> Attempt<usize> {
        let handle = self.handle(session)?;
        let raw = self.token.module.raw();
        // It may take its time: before the card is kept from others.
        let pin = match self.always_authenticate {
            true => Some(pin_for_key(self.token, &self.policy)?),
            false => None,
        };
        let _turn = self.token.turn();
        raw.sign_init(session, &plan.mechanism, handle)
            .map_err(Failure::of(|| self.attempted()))?;
        if let Some(pin) = &pin {
            log_in_for_key(self.token, session, &self.policy, pin.as_ref())?;
        }
        touched(
            self.token,
            || self.attempted(),
            || raw.sign(session, &plan.input, signature),
        )
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
        if found.is_empty() {
            still_logged_in(self.token, session)?;
        }
        let object = match found[..] {
            [object] => object,
            [] => {
                let error = self.refused(Reason::NoSuchKey, "there is no such key any more");
                return Err(Failure::Missing(error));
            }
            _ => {
                let problem = format!("there are {} such keys now", found.len());
                return Err(self.refused(Reason::NoSuchKey, &problem).into());
            }
        };
        let public = public_half(self.token, session, object, &halves)?;
        if !public.is_same_key(&self.public) {
            let problem = "the key with this name has another public half now";
            return Err(self.refused(Reason::KeyChanged, problem).into());
        }
        Ok(object.handle)
    }

    #[track_caller]
    fn refused(&self, reason: Reason, problem: &str) -> Error {
        let attempted = self.attempted();
        Error::new(
            reason,
            format!("{attempted}: {problem}; load the key again"),
        )
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

    fn allows(&self, digest: Option<Digest>) -> Result<()> {
        let outcome = match digest {
            _ if !self.may_sign => Err(Error::new(
                Reason::OperationNotAllowed,
                "the key's CKA_SIGN is false; make a key with usage \"sign\"",
            )),
            Some(digest) => self.abilities.allow(&self.public, digest),
            None => Ok(()),
        };
        outcome.map_err(|error| error.within(&self.attempted()))
    }

    fn wants_messages(&self) -> bool {
        self.abilities.wants_messages(&self.public)
    }

    fn sign(&self, scheme: &Scheme, input: Input<'_>, signature: &mut [u8]) -> Result<usize> {
        let plan = self.abilities.plan(&self.public, scheme, input);
        let plan = plan.map_err(|error| error.within(&self.attempted()))?;
        // In a forked child and after a loss this is where the PIN is asked for again.
        let mut may_go_without = self.shows_to_everybody;
        let log_in = || {
            if std::mem::take(&mut may_go_without) {
                return Ok(());
            }
            log_in(self.token, &self.policy, None, &mut Login::unattended())
        };
        attempt(self.token, log_in, |session| {
            self.follow(&plan, scheme, session, signature)
        })
    }

    /// By the token with its public key object: OpenSSL comes here only for a key that was loaded
    /// from it.
    fn verify(&self, scheme: &Scheme, data: &[u8], signature: &[u8]) -> Result<bool> {
        // What limits the private key does not limit the public one.
        let unlimited = Abilities {
            token: self.token,
            allowed: None,
            hashes_in_token: false,
        };
        let plan = unlimited.hashed(&self.public, scheme, data)?;
        if matches!(scheme, Scheme::RsaPss { .. }) && matches!(plan.mechanism, Mechanism::RsaX509) {
            return Err(self.not_verified("the token does not take these PSS parameters"));
        }
        attempt(
            self.token,
            || Ok(()),
            |session| {
                let class = Some(ObjectClass::PUBLIC_KEY);
                let attempted = || format!("verifying on {}", self.token.identity);
                let pattern = self.pattern.of_other_half();
                let found = Object::find(self.token, session, &pattern, class)
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
