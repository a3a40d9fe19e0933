//! Authorisation values of objects: where they come from, and that none is sent twice.
//!
//! To the TPM an object without an authorisation value has an empty one. Wrong ones are counted for all
//! objects together (dictionary attack protection, TPM 2.0 Library part 1, 19.8), but for those with
//! noDA; too many of them lock the TPM. So a value is handled like a card's PIN.

use std::hash::{DefaultHasher, Hash};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ossl_shim::process::PerProcess;
use tpm2_abi::{Object, Secret, Source, Task};

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
    value: Value,
    /// Whether there is one: told by the file, or found out.
    needed: AtomicBool,
    can_be_tried: bool,
}

/// One thread after the other finds out about a value, so that a wrong one is sent once.
static TURN: PerProcess<Mutex<()>> = PerProcess::new();

/// The same of using one that wrong ones are counted of: it may have been changed meanwhile.
static USE: PerProcess<Mutex<()>> = PerProcess::new();

fn turn(of: &'static PerProcess<Mutex<()>>) -> MutexGuard<'static, ()> {
    let turn = of.get(Mutex::default);
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

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
            value: Value::new(holder, sources.policy, known.no_da),
            needed: AtomicBool::new(false),
            can_be_tried: known.can_be_tried,
        };
        let given = sources.given.as_ref();
        let needed = match (given, known.needed) {
            (Some(pin), _) => !pin.is_empty(),
            (None, Some(needed)) => needed,
            // The configured source is for every key that may have a value.
            (None, None) if auth.value.policy.source.is_some() && !known.no_da => true,
            (None, None) => !auth.works_without(tpm, authorise)?,
        };
        if !needed {
            return Ok(auth);
        }
        let value = &auth.value;
        match pin_for(&value.holder, &value.policy, given, login, Instant::now()) {
            Ok(pin) => {
                auth.try_out(&pin, tpm, authorise)?;
                auth.needed.store(true, Ordering::Release);
                // The URI is not there later.
                if value.policy.keep || given.is_some() {
                    value.holder.kept.keep(pin.value);
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

    /// Waits until nobody else uses a value of which wrong ones are counted.
    pub fn turn(&self) -> Option<MutexGuard<'static, ()>> {
        (self.is_needed() && !self.value.no_da).then(|| turn(&USE))
    }

    /// The value for one use, which the TPM is known to take.
    pub fn value(&self, tpm: &Tpm, authorise: &dyn Fn(Secret) -> Answer<()>) -> Result<Secret> {
        if !self.is_needed() {
            return Ok(Secret::default());
        }
        let nobody = &mut Login::unattended();
        let Value { holder, policy, .. } = &self.value;
        let pin = pin_for(holder, policy, None, nobody, Instant::now())?;
        self.try_out(&pin, tpm, authorise)?;
        let value = Secret::copied(&pin.value);
        if policy.keep {
            holder.kept.keep(pin.value);
        }
        Ok(value)
    }

    /// The TPM refused `value` where it had taken it before, or where it was said that there is none: then
    /// a value is looked for the next time.
    pub fn refused(&self, value: &Secret) {
        self.needed.store(true, Ordering::Release);
        self.value.refused(value);
    }

    fn try_out(
        &self,
        pin: &Sourced,
        tpm: &Tpm,
        authorise: &dyn Fn(Secret) -> Answer<()>,
    ) -> Result<()> {
        match self.can_be_tried {
            true => self.value.try_out(pin, tpm, authorise),
            false => unless_refused(&self.value.holder, pin),
        }
    }

    /// Whether the object can be used with the empty value. A try that counts is spent on it only if
    /// none is on record, so that many programs together don't spend more than one.
    fn works_without(&self, tpm: &Tpm, authorise: &dyn Fn(Secret) -> Answer<()>) -> Result<bool> {
        if !self.can_be_tried {
            return Ok(true);
        }
        let value = &self.value;
        let _turn = turn(&TURN);
        if value.has_refused_empty() {
            return Ok(false);
        }
        let attempted = || value.holder.attempted();
        let _lock = (!value.no_da).then(|| value.lock(tpm));
        if !value.no_da && tpm.lockout().map_err(tpm.failed(attempted))?.failed > 0 {
            return Ok(false);
        }
        match authorise(Secret::default()) {
            Ok(()) => Ok(true),
            Err(Trouble::Tpm(failure)) if is_refusal(&failure) => {
                value.refused(&Secret::default());
                Ok(false)
            }
            Err(trouble) => Err(tpm.failed(attempted)(trouble)),
        }
    }
}

/// A value of one holder, and what the TPM said of it.
pub struct Value {
    holder: Holder,
    policy: PinPolicy,
    no_da: bool,
    /// The mark of the value that the TPM took last, 0 if there is none.
    accepted: AtomicU64,
}

impl Value {
    pub fn new(holder: Holder, policy: PinPolicy, no_da: bool) -> Self {
        Self {
            holder,
            policy,
            no_da,
            accepted: AtomicU64::new(0),
        }
    }

    /// Sends a value that is new to the TPM, once, and remembers the answer.
    fn try_out(
        &self,
        pin: &Sourced,
        tpm: &Tpm,
        authorise: &dyn Fn(Secret) -> Answer<()>,
    ) -> Result<()> {
        unless_refused(&self.holder, pin)?;
        let mark = PinMark::of(&self.holder, &pin.value).number();
        if self.accepted.load(Ordering::Acquire) == mark {
            return Ok(());
        }
        self.sent_once(pin, tpm, authorise)?;
        self.accepted.store(mark, Ordering::Release);
        Ok(())
    }

    /// Asks with a value that may be wrong: nobody else does meanwhile, and never again if it is.
    pub fn sent_once<T>(
        &self,
        pin: &Sourced,
        tpm: &Tpm,
        ask: impl FnOnce(Secret) -> Answer<T>,
    ) -> Result<T> {
        let _turn = turn(&TURN);
        let _lock = (!self.no_da).then(|| self.lock(tpm));
        // By another thread or process of the family meanwhile.
        unless_refused(&self.holder, pin)?;
        self.keep_a_try(tpm)?;
        let value = Secret::copied(&pin.value);
        let outcome = ask(value.clone());
        if let Err(Trouble::Tpm(failure)) = &outcome {
            if is_refusal(failure) {
                self.refused(&value);
            }
        }
        let attempted = || format!("{} with the value {}", self.holder.attempted, pin.origin);
        outcome.map_err(tpm.failed(attempted))
    }

    /// The value from where it comes, for one that is only asked for when it is there.
    pub fn sourced(&self, given: Option<&Pin>, login: &mut Login<'_, '_>) -> Result<Sourced> {
        pin_for(&self.holder, &self.policy, given, login, Instant::now())
    }

    fn refused(&self, value: &Secret) {
        self.accepted.store(0, Ordering::Release);
        if let Some(pin) = Pin::copied(value) {
            refuse(&self.holder, &pin);
        }
    }

    fn has_refused_empty(&self) -> bool {
        Pin::copied(&[]).is_none_or(|empty| is_refused(&self.holder, &empty))
    }

    fn lock(&self, tpm: &Tpm) -> LoginLock {
        LoginLock::take(&tpm.tcti, &self.holder.attempted)
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
    value: Value,
    named: bool,
    /// A persistent one: a hierarchy's wrong values are not counted.
    handle: Option<u32>,
}

impl ParentAuth {
    pub fn new(holder: Holder, sources: Sources, handle: Option<u32>) -> Self {
        if let Some(pin) = sources.given.as_ref().and_then(|pin| Pin::copied(pin)) {
            holder.kept.keep(pin);
        }
        Self {
            named: sources.given.is_some() || sources.policy.source.is_some(),
            value: Value::new(holder, sources.policy, handle.is_none()),
            handle,
        }
    }

    pub fn value(&self, tpm: &Tpm) -> Result<Secret> {
        if !self.named {
            return match self.value.has_refused_empty() {
                true => Err(self.missing()),
                false => Ok(Secret::default()),
            };
        }
        let pin = self.value.sourced(None, &mut Login::nobody())?;
        match self.handle {
            Some(handle) => {
                let authorise = |auth| {
                    tpm.done(Task::Authorise {
                        object: persistent(handle, auth),
                    })
                };
                let tried = self.value.try_out(&pin, tpm, &authorise);
                tried.map_err(|error| error.and(SOURCES_OF_PARENTS))?;
            }
            None => unless_refused(&self.value.holder, &pin)?,
        }
        let value = Secret::copied(&pin.value);
        // For processes that are forked later, and can't read the source any more.
        if self.value.policy.keep {
            self.value.holder.kept.keep(pin.value);
        }
        Ok(value)
    }

    /// Where no source is named, one thread after the other tries the empty value.
    pub fn turn(&self) -> Option<MutexGuard<'static, ()>> {
        (!self.named && self.handle.is_some()).then(|| turn(&TURN))
    }

    /// The TPM refused `value`.
    pub fn refused(&self, value: &Secret) {
        self.value.refused(value);
    }

    fn missing(&self) -> Error {
        let attempted = &self.value.holder.attempted;
        Error::new(
            Reason::PinRequired,
            format!("{attempted}: the parent has an authorisation value; {SOURCES_OF_PARENTS}"),
        )
    }
}

const SOURCES_OF_PARENTS: &str = "it is named by tpm2-parent-pin-source = file:… in openssl.cnf, or \
                                  ?parent-pin-source=file:… in the URI";

fn persistent(handle: u32, auth: Secret) -> Object {
    Object {
        source: Source::Persistent(handle),
        name: None,
        auth,
        parent_auth: Secret::default(),
    }
}
