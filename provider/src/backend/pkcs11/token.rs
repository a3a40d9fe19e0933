//! One token.

use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::slot::TokenInfo;
use ossl_shim::process::{PerProcess, user_id};
use p11_raw::{Mechanisms, SlotId};

use super::failure::{code, describe, failed, leaves_sessions_open};
use super::module::{Module, Present};
use super::pins::KeptPins;
use super::sessions::{Lease, Sessions};
use crate::error::{Error, Reason, Result};
use crate::uri::pkcs11::{Pkcs11Uri, TokenPattern};

/// What a token is known by. Slot numbers change; this does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub label: String,
    pub manufacturer: String,
    pub model: String,
    pub serial: String,
}

impl Identity {
    pub fn of(info: &TokenInfo) -> Self {
        Self {
            label: info.label().into(),
            manufacturer: info.manufacturer_id().into(),
            model: info.model().into(),
            serial: info.serial_number().into(),
        }
    }

    /// The URI that picks out this token.
    pub fn uri(&self) -> Pkcs11Uri {
        let attribute = |text: &String| (!text.is_empty()).then(|| text.clone());
        Pkcs11Uri {
            token: TokenPattern {
                token: attribute(&self.label),
                manufacturer: attribute(&self.manufacturer),
                serial: attribute(&self.serial),
                model: attribute(&self.model),
                ..TokenPattern::default()
            },
            ..Pkcs11Uri::default()
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "token \"{}\" ({}, serial {})",
            self.label, self.manufacturer, self.serial
        )
    }
}

/// A token of a module, for the life of the process, whether it is in its slot or not.
pub struct Token {
    pub module: &'static Module,
    pub identity: Identity,
    pub pins: KeptPins,
    sessions: PerProcess<Sessions>,
    /// How it was found last.
    seen: PerProcess<Mutex<Option<Present>>>,
    mechanisms: PerProcess<OnceLock<Mechanisms>>,
}

impl Token {
    pub fn new(module: &'static Module, identity: Identity) -> Self {
        Self {
            module,
            identity,
            pins: KeptPins::default(),
            sessions: PerProcess::new(),
            seen: PerProcess::new(),
            mechanisms: PerProcess::new(),
        }
    }

    /// The sessions of this process. A forked child begins anew.
    pub fn sessions(&self) -> &Sessions {
        self.sessions.get(Sessions::default)
    }

    /// It was found in a slot: its sessions can be opened there without looking again.
    pub fn was_seen(&self, present: &Present) {
        self.sessions().found_in(present.slot);
        *self.seen() = Some(present.clone());
    }

    /// What was seen of it before, if its sessions go on working. (SoftHSM 2.6.1 lists a token no
    /// more, for the whole process, whose login it could not record in files that it may only read.)
    pub fn still_in_use(&'static self) -> Option<Present> {
        let seen = self.seen().clone()?;
        let slot = self.sessions().slot()?;
        Lease::works(self).then_some(Present { slot, ..seen })
    }

    fn seen(&self) -> MutexGuard<'_, Option<Present>> {
        let seen = self.seen.get(Mutex::default);
        seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its mechanisms; asked for once in a process.
    pub fn mechanisms(&'static self) -> Result<&'static Mechanisms> {
        let known = self.mechanisms.get(OnceLock::new);
        if let Some(mechanisms) = known.get() {
            return Ok(mechanisms);
        }
        let raw = self.module.started()?;
        let mechanisms = raw.mechanisms(self.slot()?).map_err(|error| {
            failed(
                &format!("listing the mechanisms of {}", self.identity),
                &error,
            )
        })?;
        Ok(known.get_or_init(|| mechanisms))
    }

    /// What belongs to `epoch` is lost, as `error` tells.
    pub fn lose(&self, epoch: u64, error: &CryptokiError) {
        log::info!("{}: {}; starting anew", self.identity, describe(error));
        if code(error) == Some(RvError::CryptokiNotInitialized) {
            self.module.was_finalized();
        }
        self.sessions()
            .lose(self.module, epoch, leaves_sessions_open(error));
    }

    /// What the token says of itself now. An error if another token is in its slot: that one must
    /// not get this one's PIN.
    pub fn info(&'static self) -> Result<TokenInfo> {
        let slot = self.slot()?;
        let info = self.module.started()?.token_info(slot);
        let info = info.map_err(|error| failed(&format!("reading {}", self.identity), &error))?;
        match Identity::of(&info) == self.identity {
            true => Ok(info),
            false => Err(self.gone()),
        }
    }

    /// Where its sessions are, else where it is found. (SoftHSM lists a token no more whose login it
    /// could not record, although its sessions work.)
    fn slot(&'static self) -> Result<SlotId> {
        match self.sessions().slot() {
            Some(slot) => Ok(slot),
            None => self.locate(),
        }
    }

    /// Looks for the token in all slots.
    pub fn locate(&'static self) -> Result<SlotId> {
        let present = self.module.tokens()?;
        let found = present
            .iter()
            .find(|present| std::ptr::eq(present.token, self));
        found.map(|present| present.slot).ok_or_else(|| self.gone())
    }

    fn gone(&self) -> Error {
        Error::new(
            Reason::NoSuchToken,
            format!(
                "{} is not to be seen any more by this process (user id {}, process {}): it was \
                 taken out, or this user may not use its files, its configuration (SOFTHSM2_CONF) or \
                 its socket",
                self.identity,
                user_id(),
                std::process::id()
            ),
        )
    }
}

/// Whether `present` is what the pattern asks for.
pub fn matches(pattern: &TokenPattern, present: &Present) -> Result<bool> {
    let (info, slot) = (&present.info, &present.slot_info);
    let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|text| text == is);
    let token = same(&pattern.token, info.label())
        && same(&pattern.manufacturer, info.manufacturer_id())
        && same(&pattern.serial, info.serial_number())
        && same(&pattern.model, info.model())
        && same(&pattern.slot_manufacturer, slot.manufacturer_id())
        && same(&pattern.slot_description, slot.slot_description())
        && pattern.slot_id.is_none_or(|id| id == present.slot.number());
    let asks_for_library = pattern.library_manufacturer.is_some()
        || pattern.library_description.is_some()
        || pattern.library_version.is_some();
    if !token || !asks_for_library {
        return Ok(token);
    }
    let library = present.token.module.library_info()?;
    let version = library.library_version();
    let version_matches = pattern.library_version.as_deref().is_none_or(|text| {
        text == version.to_string() || (version.minor() == 0 && text == version.major().to_string())
    });
    Ok(version_matches
        && same(&pattern.library_manufacturer, library.manufacturer_id())
        && same(&pattern.library_description, library.library_description()))
}
