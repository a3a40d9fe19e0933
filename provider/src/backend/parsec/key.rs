//! A key that a service keeps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parsec_client::core::interface::operations::{
    NativeOperation, NativeResult, psa_asymmetric_decrypt, psa_export_public_key,
    psa_raw_key_agreement, psa_sign_hash, psa_verify_hash,
};
use parsec_client::core::interface::requests::{ProviderId, ResponseStatus};
use parsec_client::core::interface::secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::policy::Policy;
use super::providers::title;
use super::public::Kind;
use super::service::{Answer, Service, Trouble};
use crate::digest::Digest;
use crate::encoding::rsa_signature;
use crate::error::{Error, Reason, Result};
use crate::key::{Decryption, HardwareKey, Input, PublicKey, Scheme};

/// The key. The service is asked by its name each time, so nothing of it is open between two uses.
pub struct ParsecKey {
    pub service: Service,
    pub provider: ProviderId,
    pub name: String,
    pub uri: String,
    pub kind: Kind,
    pub policy: Policy,
    pub public: PublicKey,
    pub confirmed: Confirmed,
    /// Who loaded it, if the service knows its clients by their user.
    pub user: Option<u32>,
}

/// When the name was last seen to be that of the same key.
pub struct Confirmed {
    start: Instant,
    /// Milliseconds since the start, or [`NEVER`].
    last: AtomicU64,
}

const NEVER: u64 = u64::MAX;

/// For how long: a key that somebody deletes and makes anew under its name is another one.
const CONFIRMED_FOR: Duration = Duration::from_secs(1);

impl Confirmed {
    pub fn now() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    fn is_fresh(&self) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        let age = || {
            self.start
                .elapsed()
                .saturating_sub(Duration::from_millis(last))
        };
        last != NEVER && age() < CONFIRMED_FOR
    }

    /// The next use has to look first.
    fn expire(&self) {
        self.last.store(NEVER, Ordering::Relaxed);
    }

    fn renew(&self) {
        let elapsed = self.start.elapsed().as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(NEVER);
        self.last.store(elapsed, Ordering::Relaxed);
    }
}

/// The public half of the key `name`, as the service writes it.
pub fn export(service: &Service, provider: ProviderId, name: &str) -> Answer<Vec<u8>> {
    let question = || psa_export_public_key::Operation {
        key_name: name.into(),
    };
    match service.ask(provider, || question().into())? {
        NativeResult::PsaExportPublicKey(exported) => Ok(exported.data.to_vec()),
        _ => Err(Trouble::Nonsense),
    }
}

impl ParsecKey {
    fn attempted(&self, what: &str) -> String {
        format!(
            "{what} on {}, {}, key \"{}\"",
            self.service,
            title(self.provider),
            self.name
        )
    }

    fn failed(&self, what: &str, trouble: Trouble) -> Error {
        let is_missing = matches!(
            trouble,
            Trouble::Status(ResponseStatus::PsaErrorDoesNotExist)
        );
        if is_missing {
            self.confirmed.expire();
        }
        let error = self.service.failed(|| self.attempted(what))(trouble);
        let now = self.service.identity().user();
        match (is_missing, self.user, now) {
            (true, Some(then), Some(now)) if then != now => error.and(&format!(
                "the key was loaded by user id {then}, and keys of {then} are not those of {now}: let the \
                 program load it as the user that uses it, or let the service know its clients by name \
                 (auth_type = \"Direct\")"
            )),
            _ => error,
        }
    }

    /// One use of the key, which must still be the one that was loaded.
    fn using<T>(
        &self,
        what: &str,
        question: impl Fn() -> NativeOperation,
        answer: impl FnOnce(NativeResult) -> Option<T>,
    ) -> Result<T> {
        self.confirm(what)?;
        let outcome = self.service.ask(self.provider, question);
        outcome
            .and_then(|result| answer(result).ok_or(Trouble::Nonsense))
            .map_err(|trouble| self.failed(what, trouble))
    }

    fn confirm(&self, what: &str) -> Result<()> {
        // The same name is another key for another user.
        let is_same_client = self.service.identity().user() == self.user;
        if self.confirmed.is_fresh() && is_same_client {
            return Ok(());
        }
        let exported = export(&self.service, self.provider, &self.name);
        let exported = exported.map_err(|trouble| self.failed(what, trouble))?;
        let is_same = |public: PublicKey| public.is_same_key(&self.public);
        if !self.kind.public(&exported).is_ok_and(is_same) {
            return Err(Error::new(
                Reason::KeyChanged,
                "another key has its name now; load the key again",
            )
            .within(&self.attempted(what)));
        }
        self.confirmed.renew();
        Ok(())
    }

    fn refused(&self, what: &str) -> impl Fn(Error) -> Error + use<'_> {
        let attempted = self.attempted(what);
        move |error| error.within(&attempted)
    }
}

/// How many bytes a message can have (RFC 8017 §7.1.1, §7.2.1).
fn longest(how: &Decryption, public: &PublicKey) -> usize {
    let frame = match how {
        Decryption::Raw => 0,
        Decryption::Pkcs1 => 11,
        Decryption::Oaep { digest, .. } => 2 * digest.size() + 2,
    };
    public.bits().div_ceil(8).saturating_sub(frame)
}

/// What providers say of a wrong padding; those for TPMs and PKCS#11 a communication failure (parsec#619).
fn tells_of_padding(status: ResponseStatus) -> bool {
    matches!(
        status,
        ResponseStatus::PsaErrorInvalidPadding
            | ResponseStatus::PsaErrorInvalidArgument
            | ResponseStatus::PsaErrorCommunicationFailure
    )
}

impl HardwareKey for ParsecKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn uri(&self) -> String {
        self.uri.clone()
    }

    fn place(&self) -> String {
        format!("{}, {}", self.service, title(self.provider))
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn allows(&self, digest: Option<Digest>) -> Result<()> {
        self.policy.allow(digest).map_err(self.refused("signing"))
    }

    /// The service has "sign message", but no provider of it does.
    fn wants_messages(&self) -> bool {
        false
    }

    fn sign(&self, scheme: &Scheme, input: Input<'_>, signature: &mut [u8]) -> Result<usize> {
        const WHAT: &str = "signing";
        let plan = self
            .policy
            .plan(scheme, input)
            .map_err(self.refused(WHAT))?;
        let question = || {
            psa_sign_hash::Operation {
                key_name: self.name.clone(),
                alg: plan.alg,
                hash: plan.data.clone().into(),
            }
            .into()
        };
        let made = self.using(WHAT, question, |result| match result {
            NativeResult::PsaSignHash(made) => Some(made.signature),
            _ => None,
        })?;
        // Both kinds of signatures have one length: RSA's is the modulus', r and s have the order's.
        let size = match &self.public {
            PublicKey::Ec { curve, .. } => 2 * curve.field_size(),
            public => public.bits().div_ceil(8),
        };
        let room = signature.get_mut(..size).filter(|_| made.len() == size);
        let room = room.ok_or_else(|| {
            let problem = format!(
                "the service returned a signature of {} bytes; it has {size}",
                made.len()
            );
            Error::new(Reason::TokenFailed, problem).within(&self.attempted(WHAT))
        })?;
        room.copy_from_slice(&made);
        Ok(size)
    }

    /// RSA on the host, ECDSA by the service: OpenSSL comes here only for a key that was loaded from it.
    fn verify(&self, scheme: &Scheme, data: &[u8], signature: &[u8]) -> Result<bool> {
        const WHAT: &str = "verifying";
        if matches!(self.public, PublicKey::Rsa { .. }) {
            return rsa_signature::verify(&self.public, scheme, data, signature);
        }
        let plan = self.policy.plan(scheme, Input::Data(data));
        let plan = plan.map_err(self.refused(WHAT))?;
        let question = || {
            psa_verify_hash::Operation {
                key_name: self.name.clone(),
                alg: plan.alg,
                hash: plan.data.clone().into(),
                signature: signature.to_vec().into(),
            }
            .into()
        };
        self.confirm(WHAT)?;
        match self.service.ask(self.provider, question) {
            Ok(_) => Ok(true),
            Err(Trouble::Status(ResponseStatus::PsaErrorInvalidSignature)) => Ok(false),
            Err(trouble) => Err(self.failed(WHAT, trouble)),
        }
    }

    fn default_digest(&self) -> Digest {
        self.policy.only_digest().unwrap_or(Digest::Sha256)
    }

    fn salts_freely(&self) -> bool {
        false
    }

    fn decrypt(&self, how: &Decryption, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        const WHAT: &str = "decrypting";
        let unwrapping = self.policy.unwrapping(how, self.provider);
        let unwrapping = unwrapping.map_err(self.refused(WHAT))?;
        let question = || {
            psa_asymmetric_decrypt::Operation {
                key_name: self.name.clone(),
                alg: unwrapping.alg,
                ciphertext: input.to_vec().into(),
                salt: unwrapping.salt.clone().map(Zeroizing::new),
            }
            .into()
        };
        self.confirm(WHAT)?;
        match self.service.ask(self.provider, question) {
            Ok(NativeResult::PsaAsymmetricDecrypt(decrypted)) => {
                let (size, longest) = (decrypted.plaintext.len(), longest(how, &self.public));
                if size > longest {
                    let problem =
                        format!("the service returned {size} bytes; {longest} fit this key");
                    let error = Error::new(Reason::TokenFailed, problem);
                    return Err(error.within(&self.attempted(WHAT)));
                }
                Ok(decrypted.plaintext)
            }
            Ok(_) => Err(self.failed(WHAT, Trouble::Nonsense)),
            Err(Trouble::Status(status)) if tells_of_padding(status) => Err(Error::new(
                Reason::InvalidData,
                format!(
                    "{}; the data was not encrypted for this key, or with another padding (providers say \
                     CommunicationFailure of that, too)",
                    super::failure::name(status)
                ),
            )
            .within(&self.attempted(WHAT))),
            Err(trouble) => Err(self.failed(WHAT, trouble)),
        }
    }

    fn decrypts_raw(&self) -> bool {
        false
    }

    /// Any: [`Self::decrypt`] says best what can't be done.
    fn takes_oaep(&self, _: Digest, _: &[u8]) -> bool {
        true
    }

    fn derive(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        const WHAT: &str = "deriving a shared secret";
        let alg = self.policy.agreement().map_err(self.refused(WHAT))?;
        let question = || {
            psa_raw_key_agreement::Operation {
                alg,
                private_key_name: self.name.clone(),
                peer_key: peer.to_vec().into(),
            }
            .into()
        };
        let secret = self.using(WHAT, question, |result| match result {
            NativeResult::PsaRawKeyAgreement(agreed) => {
                Some(Zeroizing::new(agreed.shared_secret.expose_secret().clone()))
            }
            _ => None,
        })?;
        let size = self.public.bits().div_ceil(8);
        match secret.len() == size {
            true => Ok(secret),
            false => {
                let problem = format!("a shared secret of {} bytes; it has {size}", secret.len());
                Err(Error::new(Reason::TokenFailed, problem).within(&self.attempted(WHAT)))
            }
        }
    }
}
