//! One PKCS#11 module.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::slot::{SlotInfo, TokenInfo};
use ossl_shim::process::{AppendOnly, Connection, Generation, PerProcess};
use p11_raw::SlotId;

use super::elf::foreign_machine;
use super::failure::{code, describe, failed};
use super::identity::Identity;
use super::life::{AskedByItself, InUse, Life, LifeNumber};
use super::sessions::Sessions;
use super::token::Token;
use crate::error::{Error, Reason, Result};

/// Which file a module is, whatever paths lead to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    pub device: u64,
    pub inode: u64,
}

/// The file name of pcscd's socket, pcscd(8).
const PCSCD: &str = "pcscd.comm";

/// An opened module. It is never closed.
pub struct Module {
    pub file: FileId,
    path: PathBuf,
    raw: p11_raw::Module,
    life: PerProcess<Life>,
    /// The connections to pcscd that it has, or had in a parent.
    wires: AppendOnly<(Generation, Connection)>,
    /// Those that the program had before.
    foreign_wires: AppendOnly<Connection>,
    tokens: AppendOnly<Token>,
    /// Only one thread adds a token.
    adding: PerProcess<Mutex<()>>,
}

/// A token that is there now.
#[derive(Clone)]
pub struct Present {
    pub slot: SlotId,
    pub slot_info: SlotInfo,
    pub info: TokenInfo,
    pub token: &'static Token,
}

impl Module {
    pub fn open(path: &Path, file: FileId) -> Result<Self> {
        let unusable = |error: CryptokiError| {
            Error::new(
                Reason::ModuleUnavailable,
                format!(
                    "opening the PKCS#11 module {}: {}; is it a PKCS#11 module for this \
                     machine's architecture?",
                    path.display(),
                    describe(&error)
                ),
            )
        };
        if let Some((its, ours)) = foreign_machine(path) {
            return Err(Error::new(
                Reason::ModuleUnavailable,
                format!(
                    "opening the PKCS#11 module {}: it is for another architecture (ELF machine \
                     {its}, this program's is {ours}); install the module for this one",
                    path.display()
                ),
            ));
        }
        log::debug!("opening the PKCS#11 module {}", path.display());
        let module = Self {
            file,
            path: path.to_owned(),
            raw: p11_raw::Module::open(path).map_err(unusable)?,
            life: PerProcess::new(),
            wires: AppendOnly::new(),
            foreign_wires: AppendOnly::new(),
            tokens: AppendOnly::new(),
            adding: PerProcess::new(),
        };
        for wire in Connection::all_to(PCSCD) {
            module.foreign_wires.push(wire);
        }
        Ok(module)
    }

    /// The module, initialised in this process.
    pub fn started(&self) -> Result<InUse<'_>> {
        let path = self.path.display();
        let problem = match self.life().started(&self.raw) {
            Ok(Ok(module)) => return Ok(module),
            Ok(Err(error)) => format!(
                "initialising the PKCS#11 module {path}: {}; check the module's own configuration and \
                 this user's rights to it (SoftHSM: SOFTHSM2_CONF and its token directory; cards: \
                 pcscd)",
                describe(&error)
            ),
            Err(AskedByItself) => format!(
                "the PKCS#11 module {path} asked for a hardware key while it was being initialised; \
                 give the program that the module serves an openssl.cnf without this key"
            ),
        };
        Err(Error::new(Reason::ModuleUnavailable, problem))
    }

    /// Someone else finalised the module: it is to be initialised again.
    pub fn was_finalized(&self) {
        if self.life().was_finalized() {
            // Their numbers may be those of other sessions and objects now.
            self.tokens
                .iter()
                .for_each(|token| token.sessions().forget());
        }
    }

    /// What it is in now, for [`Self::restart`].
    pub fn life_number(&self) -> LifeNumber {
        self.life().number()
    }

    /// C_Finalize and C_Initialize, unless that was done since `seen`, or somebody uses the module.
    /// Its tokens lose their sessions and logins in this process. Whether it was restarted.
    pub fn restart(&self, seen: LifeNumber) -> bool {
        // Others in this process may use it too, and be surprised. Of cards they have to expect a loss.
        if !self.has_cards() {
            return false;
        }
        let forget = || Sessions::forget_all(self.tokens.iter().map(Token::sessions));
        self.life().restart(&self.raw, &self.path, seen, forget)
    }

    /// Whether it was seen to have cards.
    fn has_cards(&self) -> bool {
        self.wires.iter().next().is_some() || self.tokens.iter().any(Token::is_removable)
    }

    /// Whether no token of it but `except` has sessions in this process.
    pub fn is_unused(&self, except: Option<&Token>) -> bool {
        let mut others = self.tokens.iter().filter(|token| {
            let is_it = |except: &Token| std::ptr::eq(*token, except);
            !except.is_some_and(is_it)
        });
        others.all(|token| !token.sessions().are_open())
    }

    fn life(&self) -> &Life {
        self.life.get(|| {
            let ours = Generation::current();
            let wires = self.wires.iter().filter(|(of, _)| *of != ours);
            let mut wires = wires.map(|(_, wire)| wire).peekable();
            if wires.peek().is_none() {
                return Life::default();
            }
            // What is sent there the parent would read the answer to.
            wires.for_each(|wire| wire.cut());
            Life::inherited()
        })
    }

    /// Remembers the connections to pcscd, for the time after a fork.
    fn note_wires(&self) {
        let ours = Generation::current();
        for wire in Connection::all_to(PCSCD) {
            let is_foreign = self.foreign_wires.iter().any(|known| *known == wire);
            let is_known = self.wires.iter().any(|known| *known == (ours, wire));
            if !is_foreign && !is_known {
                self.wires.push((ours, wire));
            }
        }
    }

    /// The tokens that are there now.
    pub fn tokens(&'static self) -> Result<Vec<Present>> {
        let slots = match self.started()?.slots_with_token() {
            Err(error) if code(&error) == Some(RvError::CryptokiNotInitialized) => {
                self.was_finalized();
                self.started()?.slots_with_token()
            }
            other => other,
        };
        let slots = slots.map_err(|error| {
            failed(
                &format!("listing the slots of {}", self.path.display()),
                &error,
            )
        })?;
        let _in_use = self.started()?;
        let listed = slots.into_iter().filter_map(|slot| self.present(slot));
        let mut present: Vec<Present> = listed.collect();
        let is_unlisted = |token: &&'static Token| {
            let mut listed = present.iter();
            !listed.any(|present| std::ptr::eq(present.token, *token))
        };
        let unlisted: Vec<&'static Token> = self.tokens.iter().filter(is_unlisted).collect();
        present.extend(unlisted.into_iter().filter_map(Token::still_in_use));
        if present.iter().any(|present| present.token.is_removable()) {
            self.note_wires();
        }
        Ok(present)
    }

    /// The readers for cards (and their like) in which no token is seen, by their names.
    pub fn readers(&self) -> Vec<String> {
        let Ok(raw) = self.started() else {
            return Vec::new();
        };
        let is_used = |slot: &SlotId| {
            let info = raw.token_info(*slot);
            info.is_ok_and(|info| info.token_initialized())
        };
        let name = |slot: SlotId| match raw.slot_info(slot) {
            Ok(info) if info.removable_device() => Some(info.slot_description().to_owned()),
            Ok(_) => None,
            Err(error) => Some(format!("slot {} ({})", slot.number(), describe(&error))),
        };
        let slots = raw.slots().unwrap_or_default().into_iter();
        slots
            .filter(|slot| !is_used(slot))
            .filter_map(name)
            .collect()
    }

    /// The token in `slot`, unless it has just been taken out or was never set up.
    fn present(&'static self, slot: SlotId) -> Option<Present> {
        let read = || Ok((self.raw.slot_info(slot)?, self.raw.token_info(slot)?));
        let (slot_info, info) = read()
            .inspect_err(|error| log::debug!("slot {}: {}", slot.number(), describe(error)))
            .ok()?;
        if !info.token_initialized() {
            return None;
        }
        let token = self.token(Identity::of(&info), slot_info.removable_device());
        let present = Present {
            slot,
            slot_info,
            info,
            token,
        };
        token.was_seen(&present);
        Some(present)
    }

    /// The one object for the token with this identity.
    fn token(&'static self, identity: Identity, is_removable: bool) -> &'static Token {
        let is_it = |token: &&Token| token.is(&identity, is_removable);
        let known = || self.tokens.iter().find(is_it);
        if let Some(token) = known() {
            return token;
        }
        let adding = self.adding.get(Mutex::default);
        let _turn = adding.lock().unwrap_or_else(PoisonError::into_inner);
        match known() {
            Some(token) => token,
            None => self.tokens.push(Token::new(self, identity)),
        }
    }

    /// The module for what is done on a session.
    pub fn raw(&self) -> &p11_raw::Module {
        &self.raw
    }

    pub fn library_info(&self) -> Result<cryptoki::context::Info> {
        let info = self.started()?.info();
        info.map_err(|error| failed(&format!("reading {}", self.path.display()), &error))
    }
}
