//! Authorisation values of objects: where they come from, and that none is sent twice.
//!
//! To the TPM an object without an authorisation value has an empty one. Wrong ones are counted for all
//! objects together (dictionary attack protection, TPM 2.0 Library part 1, 19.8), but for those with
//! noDA; too many of them lock the TPM. So a value is handled like a card's PIN.

use std::hash::{DefaultHasher, Hash};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ossl_shim::process::PerProcess;
use tpm2_abi::Secret;

use super::failure::is_refusal;
use super::tpm::{Answer, Tpm, Trouble};
use crate::backend::Login;
use crate::backend::login_lock::LoginLock;
use crate::backend::pins::{
    KeptPins, PinHolder, PinMark, Sourced, is_refused, pin_for, refuse, unless_refused,
};
use crate::error::{Error, Reason, Result};
use crate::pin::{Pin, PinPolicy};

/// What an authorisation value is for.
pub struct Holder {
    /// The object's Name, or what else tells it from all others.
    pub mark: Vec<u8>,
    pub title: String,
    pub attempted: String,
    pub kept: KeptPins,
}

impl PinHolder for Holder {
    fn mark(&self, hasher: &mut DefaultHasher) {
        ("TPM 2.0", &self.mark).hash(hasher);
    }

    fn kept(&self) -> &KeptPins {
        &self.kept
    }

    fn title(&self) -> String {
        self.title.clone()
    }

    fn attempted(&self) -> String {
        self.attempted.clone()
    }

    fn noun(&self) -> &'static str {
        "authorisation value"
    }
}

/// Where a value may come from.
pub struct Sources {
    pub policy: PinPolicy,
    /// The URI's own.
    pub given: Option<Pin>,
}

/// What is known of an object before its authorisation value is.
#[derive(Clone, Copy)]
pub struct Known {
    /// Whether it has one, where that is told.
    pub needed: Option<bool>,
    /// Its wrong values are not counted.
    pub no_da: bool,
    /// The value can be tried without doing anything with the object (userWithAuth).
    pub can_be_tried: bool,
}

/// The authorisation value of an object.
pub struct Auth {
    holder: Holder,
    policy: PinPolicy,
    /// Whether there is one: told by the file, or found out.
    needed: AtomicBool,
    no_da: bool,
    can_be_tried: bool,
    /// The mark of the value that the TPM took last, 0 if there is none.
    accepted: AtomicU64,
}

/// One thread after the other finds out about a value, so that a wrong one is sent once.
static TURN: PerProcess<Mutex<()>> = PerProcess::new();

impl Auth {
    /// Finds out whether the object has a value, and if so, whether the one that there is is right.
    /// `authorise` asks the TPM.
    pub fn settle(
        holder: Holder,
        known: Known,
        sources: Sources,
        tpm: &Tpm,
        login: &mut Login<'_, '_>,
        authorise: &dyn Fn(Secret) -> Answer<()>,
    ) -> Result<Self> {
        let auth = Self {
            holder,
            policy: sources.policy,
            needed: AtomicBool::new(false),
            no_da: known.no_da,
            can_be_tried: known.can_be_tried,
            accepted: AtomicU64::new(0),
        };
        let given = sources.given.as_ref();
        let needed = match (given, known.needed) {
            (Some(pin), _) => !pin.is_empty(),
            (None, Some(needed)) => needed,
            // The configured source is for every key that may have a value.
            (None, None) if auth.policy.source.is_some() && !known.no_da => true,
            (None, None) => !auth.works_without(tpm, authorise)?,
        };
        if !needed {
            return Ok(auth);
        }
        match pin_for(&auth.holder, &auth.policy, given, login, Instant::now()) {
            Ok(pin) => {
                auth.try_out(&pin, tpm, authorise)?;
                auth.needed.store(true, Ordering::Release);
                // The URI is not there later.
                if auth.policy.keep || given.is_some() {
                    auth.holder.kept.keep(pin.value);
                }
                Ok(auth)
            }
            // tpm2_encodeobject says of keys without a value that they have one, and the other way round.
            Err(error) if error.reason() == Reason::PinRequired => {
                match auth.works_without(tpm, authorise)? {
                    true => Ok(auth),
                    false => Err(error.and(
                        "if it has none, the URI says so with ?pin-value= (a wrong try is on the TPM's \
                         record, so that the empty value is not tried; tpm2_dictionarylockout \
                         --clear-lockout clears that)",
                    )),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the object has a value, as far as is known.
    pub fn is_needed(&self) -> bool {
        self.needed.load(Ordering::Acquire)
    }

    /// The value for one use, which the TPM is known to take.
    pub fn value(&self, tpm: &Tpm, authorise: &dyn Fn(Secret) -> Answer<()>) -> Result<Secret> {
        if !self.needed.load(Ordering::Acquire) {
            return Ok(Secret::default());
        }
        let nobody = &mut Login::unattended();
        let pin = pin_for(&self.holder, &self.policy, None, nobody, Instant::now())?;
        self.try_out(&pin, tpm, authorise)?;
        let value = Secret::copied(&pin.value);
        if self.policy.keep {
            self.holder.kept.keep(pin.value);
        }
        Ok(value)
    }

    /// The TPM refused `value` where it had taken it before, or where it was said that there is none: then
    /// a value is looked for the next time.
    pub fn refused(&self, value: &Secret) {
        self.accepted.store(0, Ordering::Release);
        self.needed.store(true, Ordering::Release);
        if let Some(pin) = Pin::copied(value) {
            refuse(&self.holder, &pin);
        }
    }

    /// Whether the object can be used with the empty value. A try that counts is spent on it only if
    /// none is on record, so that many programs together don't spend more than one.
    fn works_without(&self, tpm: &Tpm, authorise: &dyn Fn(Secret) -> Answer<()>) -> Result<bool> {
        if !self.can_be_tried {
            return Ok(true);
        }
        let attempted = || self.holder.attempted();
        let turn = TURN.get(Mutex::default).lock();
        let _turn = turn.unwrap_or_else(PoisonError::into_inner);
        if Pin::copied(&[]).is_none_or(|empty| is_refused(&self.holder, &empty)) {
            return Ok(false);
        }
        let _lock = (!self.no_da).then(|| self.lock(tpm));
        if !self.no_da && tpm.lockout().map_err(tpm.failed(attempted))?.failed > 0 {
            return Ok(false);
        }
        match authorise(Secret::default()) {
            Ok(()) => Ok(true),
            Err(Trouble::Tpm(failure)) if is_refusal(&failure) => {
                if let Some(empty) = Pin::copied(&[]) {
                    refuse(&self.holder, &empty);
                }
                Ok(false)
            }
            Err(trouble) => Err(tpm.failed(attempted)(trouble)),
        }
    }

    fn lock(&self, tpm: &Tpm) -> LoginLock {
        LoginLock::take(&tpm.tcti, &self.holder.attempted)
    }

    /// Sends a value that is new to the TPM, once, and remembers the answer.
    fn try_out(
        &self,
        pin: &Sourced,
        tpm: &Tpm,
        authorise: &dyn Fn(Secret) -> Answer<()>,
    ) -> Result<()> {
        let mark = PinMark::of(&self.holder, &pin.value).number();
        if self.accepted.load(Ordering::Acquire) == mark {
            return Ok(());
        }
        unless_refused(&self.holder, pin)?;
        if !self.can_be_tried {
            return Ok(());
        }
        let turn = TURN.get(Mutex::default).lock();
        let _turn = turn.unwrap_or_else(PoisonError::into_inner);
        let _lock = (!self.no_da).then(|| self.lock(tpm));
        // By another thread or process of the family meanwhile.
        unless_refused(&self.holder, pin)?;
        self.keep_a_try(tpm)?;
        let outcome = authorise(Secret::copied(&pin.value));
        if let Err(Trouble::Tpm(failure)) = &outcome {
            if is_refusal(failure) {
                refuse(&self.holder, &pin.value);
            }
        }
        let attempted = || format!("{} with the value {}", self.holder.attempted, pin.origin);
        outcome.map_err(tpm.failed(attempted))?;
        self.accepted.store(mark, Ordering::Release);
        Ok(())
    }

    /// An error if a wrong value would lock the TPM.
    fn keep_a_try(&self, tpm: &Tpm) -> Result<()> {
        if self.no_da || self.policy.spend_final_try {
            return Ok(());
        }
        let attempted = || self.holder.attempted();
        let lockout = tpm.lockout().map_err(tpm.failed(attempted))?;
        if lockout.failed + 1 < lockout.most {
            return Ok(());
        }
        let state = match lockout.failed < lockout.most {
            true => "only the last try before the TPM's lockout is left",
            false => "the TPM is locked after too many wrong authorisation values",
        };
        Err(Error::new(
            Reason::PinLocked,
            format!(
                "{}: {state} ({} of {} are spent, one is given back every {} seconds); wait, or clear them \
                 with tpm2_dictionarylockout --clear-lockout, or set pin-final-try = allow in hwkey's \
                 section of openssl.cnf",
                self.holder.attempted, lockout.failed, lockout.most, lockout.interval
            ),
        ))
    }
}

/// The authorisation value of a parent, or of the hierarchy whose primary key it is: empty unless a
/// source is named.
pub struct ParentAuth {
    holder: Holder,
    policy: PinPolicy,
    named: bool,
}

impl ParentAuth {
    pub fn new(holder: Holder, sources: Sources) -> Self {
        if let Some(pin) = sources.given.as_ref().and_then(|pin| Pin::copied(pin)) {
            holder.kept.keep(pin);
        }
        Self {
            named: sources.given.is_some() || sources.policy.source.is_some(),
            policy: sources.policy,
            holder,
        }
    }

    pub fn value(&self) -> Result<Secret> {
        if !self.named {
            return Ok(Secret::default());
        }
        let nobody = &mut Login::nobody();
        let pin = pin_for(&self.holder, &self.policy, None, nobody, Instant::now())?;
        unless_refused(&self.holder, &pin)?;
        let value = Secret::copied(&pin.value);
        // For processes that are forked later, and can't read the source any more.
        if self.policy.keep {
            self.holder.kept.keep(pin.value);
        }
        Ok(value)
    }

    /// The TPM refused `value`.
    pub fn refused(&self, value: &Secret) {
        if let Some(pin) = Pin::copied(value) {
            refuse(&self.holder, &pin);
        }
    }
}
