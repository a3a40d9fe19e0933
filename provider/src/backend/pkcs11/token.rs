//! One token.

use std::hash::{DefaultHasher, Hash};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::slot::TokenInfo;
use ossl_shim::process::{PerProcess, user_id};
use p11_raw::{Mechanisms, SlotId};

use super::failure::{code, describe, failed, is_loss, leaves_sessions_open, may_be_loss_of_card};
use super::identity::Identity;
use super::life::LifeNumber;
use super::module::{Module, Present};
use super::sessions::{Lease, Sessions};
use crate::backend::pins::{KeptPins, PinHolder};
use crate::error::{Error, Reason, Result};
use crate::uri::Pkcs11Uri;

/// What is to be done about a loss when the caller is out of the module.
#[must_use]
pub struct Loss(Option<(&'static Module, LifeNumber)>);

impl Loss {
    pub fn none() -> Self {
        Self(None)
    }

    /// After the loss of a card its module is begun anew: Yubico's shows the objects of the card that
    /// was there before, whatever card is there now.
    pub fn heal(self) {
        if let Some((module, life)) = self.0 {
            module.restart(life);
        }
    }
}

/// pcscd looks for cards every 400 ms: another one is not there sooner.
const QUICKEST_HAND: Duration = Duration::from_millis(500);

/// A card may be away for a moment: another process that ends resets it.
const LOOKS: usize = 6;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A token of a module, for the life of the process, whether it is in its slot or not.
pub struct Token {
    pub module: &'static Module,
    pub identity: Identity,
    pub pins: KeptPins,
    sessions: PerProcess<Sessions>,
    /// Its slot says so: a card.
    is_removable: AtomicBool,
    /// When it was seen last, or did something for this process.
    last_seen: PerProcess<Mutex<Option<Instant>>>,
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
            is_removable: AtomicBool::new(false),
            last_seen: PerProcess::new(),
            seen: PerProcess::new(),
            mechanisms: PerProcess::new(),
        }
    }

    /// Whether that is this token's. A card has a serial number to be known by, and its label may change:
    /// OpenSC calls a PIV card after its certificate in 9a.
    pub fn is(&self, identity: &Identity, is_removable: bool) -> bool {
        let known = &self.identity;
        let without_label = is_removable && !known.serial.is_empty();
        known.serial == identity.serial
            && known.manufacturer == identity.manufacturer
            && known.model == identity.model
            && (without_label || known.label == identity.label)
    }

    /// The URI that picks it out.
    pub fn uri(&self) -> Pkcs11Uri {
        self.identity.uri(self.is_removable())
    }

    /// The sessions of this process. A forked child begins anew.
    pub fn sessions(&self) -> &Sessions {
        self.sessions.get(Sessions::default)
    }

    /// It was found in a slot: its sessions can be opened there without looking again.
    pub fn was_seen(&self, present: &Present) {
        self.sessions().found_in(present.slot);
        let is_removable = present.slot_info.removable_device();
        self.is_removable.store(is_removable, Ordering::Relaxed);
        self.is_here();
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
        let slot = self.slot()?;
        let mechanisms = self.module.started()?.mechanisms(slot).map_err(|error| {
            failed(
                &format!("listing the mechanisms of {}", self.identity),
                &error,
            )
        })?;
        Ok(known.get_or_init(|| mechanisms))
    }

    /// Whether the session, the login, the handle or the device is gone, so that beginning anew may help.
    pub fn has_lost(&self, error: &CryptokiError) -> bool {
        is_loss(error) || (self.is_removable() && may_be_loss_of_card(error))
    }

    /// Whose turn it is to sign with a card, which does one thing at a time anyway. Nothing may come
    /// between the login that a key wants for a signature and that signature: the card would forget it,
    /// and OpenSC 0.23 would keep the card to itself for ever (piv_pin_cmd locks it at each such login,
    /// and it is unlocked once).
    pub fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        let turn = || {
            let turn = self.sessions().card_turn.lock();
            turn.unwrap_or_else(PoisonError::into_inner)
        };
        self.is_removable().then(turn)
    }

    /// It has just done something.
    pub fn is_here(&self) {
        if self.is_removable() {
            *self.last_seen() = Some(Instant::now());
        }
    }

    /// Another card may be in the reader by now, if there was time for a hand to put it there. Modules
    /// don't notice in the middle of their work (OpenSC 0.23, yubico-piv-tool 2.7: when a third process
    /// resets the new card, pcscd tells them of a reset only, and they send the PIN that they keep, and
    /// sign); only if they are asked for their slots.
    pub fn expect_same_card(&'static self) {
        if !self.is_removable() {
            return;
        }
        let is_recent = |at: Instant| at.elapsed() < QUICKEST_HAND;
        if self.last_seen().is_none_or(is_recent) {
            return;
        }
        let epoch = self.sessions().epoch();
        let listed = self.module.started().map(|raw| raw.slots_with_token());
        let is_listed = listed.is_ok_and(|slots| slots.is_ok());
        match is_listed && self.info_where_it_was().is_some() {
            true => self.is_here(),
            false => self.lose_card(epoch).heal(),
        }
    }

    /// Whether tries of its PIN were spent, as far as it is there and tells.
    pub fn has_spent_tries(&'static self) -> bool {
        self.info().is_ok_and(|info| {
            let spent = [
                info.user_pin_count_low(),
                info.user_pin_final_try(),
                info.user_pin_locked(),
            ];
            spent.contains(&true)
        })
    }

    /// What belongs to `epoch` is lost: the card itself may be.
    pub fn lose_card(&'static self, epoch: u64) -> Loss {
        let life = self.module.life_number();
        let is_news = self.sessions().lose(self.module, epoch, false);
        Loss(is_news.then_some((self.module, life)))
    }

    fn last_seen(&self) -> MutexGuard<'_, Option<Instant>> {
        let last_seen = self.last_seen.get(Mutex::default);
        last_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_removable(&self) -> bool {
        self.is_removable.load(Ordering::Relaxed)
    }

    /// What belongs to `epoch` is lost, as `error` tells.
    pub fn lose(&'static self, epoch: u64, error: &CryptokiError) -> Loss {
        log::info!("{}: {}; starting anew", self.identity, describe(error));
        let is_current = self.sessions().epoch() == epoch;
        if is_current && code(error) == Some(RvError::CryptokiNotInitialized) {
            self.module.was_finalized();
        }
        let still_open = leaves_sessions_open(error);
        if self.is_removable() && !still_open {
            return self.lose_card(epoch);
        }
        self.sessions().lose(self.module, epoch, still_open);
        Loss::none()
    }

    /// C_Finalize and C_Initialize, if nobody is in the module, and no other token of it is in use: not
    /// every login can be repeated.
    pub fn restart_if_alone(&self) {
        if self.module.is_unused(Some(self)) {
            self.module.restart(self.module.life_number());
        }
    }

    /// Before a PIN is sent: what the token says of its tries must be true.
    pub fn bring_up_to_date(&self) {
        // ykcs11 knows only of those that it spent itself since it connected to the card (as of
        // yubico-piv-tool 2.7: C_GetTokenInfo asks ykpiv_get_pin_retries for what is stored).
        if self.identity.manufacturer.starts_with("Yubico") {
            self.restart_if_alone();
        }
    }

    /// What the token says of itself now. An error if another token is in its slot: that one must
    /// not get this one's PIN.
    pub fn info(&'static self) -> Result<TokenInfo> {
        let epoch = self.sessions().epoch();
        if let Some(info) = self.info_where_it_was() {
            return Ok(info);
        }
        self.sessions().lose(self.module, epoch, false);
        let slot = self.locate()?;
        let info = self.module.started()?.token_info(slot);
        info.map_err(|error| failed(&format!("reading {}", self.identity), &error))
    }

    /// The same, unless it is in that slot no more.
    pub fn info_where_it_was(&self) -> Option<TokenInfo> {
        let slot = self.sessions().slot()?;
        let info = self.module.started().ok()?.token_info(slot).ok()?;
        self.is(&Identity::of(&info), self.is_removable())
            .then_some(info)
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
        let mut looks = 0;
        loop {
            let life = self.module.life_number();
            let present = self.module.tokens();
            let found = present.as_ref().ok().and_then(|present| {
                let is_it = |present: &&Present| std::ptr::eq(present.token, self);
                present.iter().find(is_it)
            });
            if let Some(found) = found {
                return Ok(found.slot);
            }
            looks += 1;
            match looks {
                _ if !self.is_removable() => {
                    return Err(present.err().unwrap_or_else(|| self.gone()));
                }
                LOOKS => return Err(present.err().unwrap_or_else(|| self.gone())),
                1 => drop(self.module.restart(life)),
                _ => thread::sleep(BETWEEN_LOOKS),
            }
        }
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

impl PinHolder for Token {
    fn mark(&self, hasher: &mut DefaultHasher) {
        (self.identity.to_string(), &self.identity.model).hash(hasher);
    }

    fn kept(&self) -> &KeptPins {
        &self.pins
    }

    fn title(&self) -> String {
        self.identity.to_string()
    }

    fn attempted(&self) -> String {
        format!("logging in to {}", self.identity)
    }
}
