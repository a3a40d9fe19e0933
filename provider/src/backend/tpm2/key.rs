//! A private key in a TPM, or wrapped by one.

use std::sync::{Mutex, PoisonError};

use tpm2_abi::{DecryptScheme, Object, Outcome, Secret, Source, Task};
use zeroize::Zeroizing;

use super::auth::{Auth, ParentAuth};
use super::failure::{is_of_parent, is_refusal};
use super::numbers::{ALG_OAEP, ALG_RSAES, hash_number};
use super::object::Form;
use super::salt::{self, Salt};
use super::scheme::{Abilities, Plan};
use super::tpm::{Answer, Tpm, Trouble, unexpected};
use crate::digest::Digest;
use crate::encoding::rsa_signature;
use crate::error::{Error, Reason, Result};
use crate::key::{Decryption, HardwareKey, Input, PublicKey, Reference, Scheme};

/// The key. Nothing of it stays in the TPM between two operations.
pub struct Tpm2Key {
    pub tpm: Tpm,
    pub source: Source,
    pub object_name: Vec<u8>,
    pub name: String,
    pub form: Form,
    pub public: PublicKey,
    pub abilities: Abilities,
    pub auth: Auth,
    pub parent_auth: ParentAuth,
    /// [`HardwareKey::rejection_secret`], once it was needed.
    pub rejection: Mutex<Option<Zeroizing<Vec<u8>>>>,
}

/// The object with what it takes to use it.
pub fn object(source: &Source, name: &[u8], auth: Secret, parent_auth: Secret) -> Object {
    Object {
        source: source.clone(),
        name: Some(name.to_vec()),
        auth,
        parent_auth,
    }
}

impl Tpm2Key {
    fn attempted(&self, what: &str) -> String {
        format!("{what} on {}, key \"{}\"", self.tpm, self.name)
    }

    /// One use of the key: asks what `task` makes of the object.
    fn using<T>(
        &self,
        what: &str,
        task: impl FnOnce(Object) -> Task,
        ask: impl FnOnce(&Tpm, Task) -> Answer<T>,
    ) -> Result<T> {
        let _turn = self.auth.turn();
        let parent_auth = self.parent_auth.value(&self.tpm)?;
        let with = |auth| object(&self.source, &self.object_name, auth, parent_auth.clone());
        let authorise = |auth| self.tpm.done(Task::Authorise { object: with(auth) });
        let auth = self.auth.value(&self.tpm, &authorise)?;
        let outcome = ask(&self.tpm, task(with(auth.clone())));
        let mut attempted = self.attempted(what);
        if let Err(Trouble::Tpm(failure)) = &outcome {
            match (is_refusal(failure), is_of_parent(failure)) {
                (true, true) => self.parent_auth.refused(&parent_auth),
                (true, false) => {
                    self.auth.refused(&auth);
                    if auth.is_empty() {
                        attempted.push_str(
                            ", which is said to have no authorisation value (tpm2_encodeobject says it of \
                             those that have one)",
                        );
                    }
                }
                (false, _) => {}
            }
        }
        outcome.map_err(self.tpm.failed(|| attempted))
    }

    fn sign_as(&self, plan: Plan) -> Result<Vec<u8>> {
        match plan {
            Plan::Sign { scheme, input } => self.using(
                "signing",
                |object| Task::Sign {
                    object,
                    scheme,
                    input,
                },
                Tpm::bytes,
            ),
            Plan::Raw(padded) => Ok(self.raw("signing", &padded)?.to_vec()),
        }
    }

    /// The bare RSA operation.
    fn raw(&self, what: &str, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.decrypt_as(what, DecryptScheme::Raw, input)
    }

    fn decrypt_as(
        &self,
        what: &str,
        scheme: DecryptScheme,
        input: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        let input = input.to_vec();
        let task = |object| Task::Decrypt {
            object,
            scheme,
            input,
        };
        Ok(self.using(what, task, Tpm::secret)?.into_inner())
    }

    /// A PSS signature whose salt is not what was asked for, made again with the padding of the host.
    fn with_wanted_salt(&self, scheme: &Scheme, input: Input<'_>, made: usize) -> Result<Vec<u8>> {
        let Scheme::RsaPss { digest, salt, .. } = scheme else {
            return Err(self.refused("signing", "no PSS"));
        };
        let hashed = match input {
            Input::Data(data) => data.to_vec(),
            Input::Message { message, .. } => digest.hash(message),
        };
        let plan = self.abilities.raw(&self.public, scheme, &hashed);
        let plan = plan.map_err(|_| {
            let problem = format!(
                "this TPM pads PSS with a salt of {made} bytes, and {salt} were asked for; {}",
                match made == digest.size() {
                    true => "add rsa_pss_saltlen:digest (-sigopt), or use a key that also decrypts",
                    false =>
                        "a TPM this old can't do TLS 1.3 with a key that only signs: make one that \
                              also decrypts, or set MaxProtocol = TLSv1.2 and SignatureAlgorithms = RSA+SHA256",
                }
            );
            self.refused("signing", &problem)
        })?;
        self.sign_as(plan)
    }

    #[track_caller]
    fn refused(&self, what: &str, problem: &str) -> Error {
        Error::new(
            Reason::OperationNotAllowed,
            format!("{}: {problem}", self.attempted(what)),
        )
    }
}

impl HardwareKey for Tpm2Key {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn uri(&self) -> String {
        match &self.form {
            Form::Uri { uri, .. } | Form::Saved(uri) => uri.clone(),
            Form::Tss2(_) => format!("a TSS2 PRIVATE KEY on {}", self.tpm),
        }
    }

    fn place(&self) -> String {
        self.tpm.to_string()
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn allows(&self, digest: Option<Digest>) -> Result<()> {
        let outcome = self.abilities.allow(&self.public, digest);
        outcome.map_err(|error| error.within(&self.attempted("signing")))
    }

    fn wants_messages(&self) -> bool {
        self.abilities.wants_messages()
    }

    fn sign(&self, scheme: &Scheme, input: Input<'_>, signature: &mut [u8]) -> Result<usize> {
        let plan = self.abilities.plan(&self.public, scheme, input);
        let plan = plan.map_err(|error| error.within(&self.attempted("signing")))?;
        let by_tpm = matches!(plan, Plan::Sign { .. });
        let mut made = self.sign_as(plan)?;
        if by_tpm {
            if let Salt::Other(length) = salt::compare(&self.public, scheme, &made)? {
                made = self.with_wanted_salt(scheme, input, length)?;
            }
        }
        let room = signature.get_mut(..made.len()).ok_or_else(|| {
            let problem = format!("the TPM returned {} bytes, which do not fit", made.len());
            Error::new(Reason::TokenFailed, problem).within(&self.attempted("signing"))
        })?;
        room.copy_from_slice(&made);
        Ok(made.len())
    }

    /// RSA on the host, ECDSA by the TPM: OpenSSL comes here only for a key that was loaded from it.
    fn verify(&self, scheme: &Scheme, data: &[u8], signature: &[u8]) -> Result<bool> {
        if matches!(self.public, PublicKey::Rsa { .. }) {
            return rsa_signature::verify(&self.public, scheme, data, signature);
        }
        let plan = self.abilities.verification(&self.public, data);
        let (scheme, digest) = plan.map_err(|error| error.within(&self.attempted("verifying")))?;
        let task = |object| Task::Verify {
            object,
            scheme,
            digest,
            signature: signature.to_vec(),
        };
        self.using("verifying", task, |tpm, task| match tpm.ask(task)? {
            Outcome::Verified(verified) => Ok(verified),
            _ => Err(unexpected()),
        })
    }

    fn reference(&self) -> Result<Reference> {
        match &self.form {
            Form::Uri { uri, has_value } => Ok(Reference::Uri(match has_value {
                true => uri.clone(),
                false => format!("{uri}?pin-value="),
            })),
            Form::Tss2(key) => Ok(Reference::Tss2(key.to_der()?)),
            Form::Saved(_) => Err(self.refused(
                "writing a reference to a saved context",
                "it is good until the TPM starts anew; make the object persistent (tpm2_evictcontrol)",
            )),
        }
    }

    fn decrypt(&self, how: &Decryption, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        const WHAT: &str = "decrypting";
        let (scheme, allowed) = match how {
            Decryption::Raw => (DecryptScheme::Raw, self.abilities.does_raw()),
            Decryption::Pkcs1 => (
                DecryptScheme::RsaEs,
                self.abilities.decrypts(ALG_RSAES, None),
            ),
            Decryption::Oaep { digest, label } => (
                DecryptScheme::Oaep {
                    hash: hash_number(*digest).unwrap_or_default(),
                    // The TPM puts a NUL behind it, and hashes that, too.
                    label: label.strip_suffix(&[0]).unwrap_or(label).to_vec(),
                },
                self.takes_oaep(*digest, label),
            ),
        };
        if !allowed {
            return Err(self.refused(
                WHAT,
                "the key does not decrypt in this way: its attribute \"decrypt\" is clear, or it is bound to \
                 another scheme, or the TPM lacks the digest (tpm2_readpublic, tpm2_getcap algorithms)",
            ));
        }
        self.decrypt_as(WHAT, scheme, input)
    }

    fn decrypts_raw(&self) -> bool {
        self.abilities.does_raw()
    }

    fn takes_oaep(&self, digest: Digest, label: &[u8]) -> bool {
        // A TPM's label ends in NUL, or is empty.
        let fits = label
            .split_last()
            .is_none_or(|(last, rest)| *last == 0 && !rest.contains(&0));
        fits && self.abilities.decrypts(ALG_OAEP, Some(digest))
    }

    /// The bare operation on a number that nobody encrypts to: only who can use the key has the result.
    fn rejection_secret(&self) -> Result<Zeroizing<Vec<u8>>> {
        let mut known = self
            .rejection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = &*known {
            return Ok(secret.clone());
        }
        let mut input = vec![0; self.public.bits().div_ceil(8)];
        let text = b"hwkey: implicit rejection of PKCS#1 v1.5 paddings";
        let end = input.len();
        input[end - text.len()..].copy_from_slice(text);
        let secret = Zeroizing::new(Digest::Sha256.hash(&self.raw("decrypting", &input)?));
        Ok(known.insert(secret).clone())
    }

    fn derive(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        const WHAT: &str = "deriving a shared secret";
        if !self.abilities.derives() {
            return Err(self.refused(
                WHAT,
                "the key's attribute \"decrypt\" is clear, or it is bound to a scheme for signatures",
            ));
        }
        let (x, y) = match peer.split_first() {
            Some((4, numbers)) if numbers.len() % 2 == 0 => numbers.split_at(numbers.len() / 2),
            _ => return Err(self.refused(WHAT, "the other side's key is no uncompressed point")),
        };
        let (x, y) = (x.to_vec(), y.to_vec());
        let task = |object| Task::Derive { object, x, y };
        Ok(self.using(WHAT, task, Tpm::secret)?.into_inner())
    }
}
