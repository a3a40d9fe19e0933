//! The sessions of one token in one process.
//!
//! A session is leased for one operation and goes back to the pool; it is opened when the pool has
//! none. An *anchor* session stays open, because closing a token's last session logs out. Losing
//! the token (removal, a module that was finalised) ends an *epoch*: sessions, login and object
//! handles of an earlier epoch are worthless.

use std::ops::Deref;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::error::RvError;
use p11_raw::{Session, SlotId};

use super::failure::{code, describe, failed};
use super::module::Module;
use super::token::Token;
use crate::backend::pins::PinMark;
use crate::error::Result;

/// How long an operation waits for a session when the token has no more of them.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it asks the token again, since another process may have closed one.
const RETRY: Duration = Duration::from_millis(50);

/// The pool.
#[derive(Default)]
pub struct Sessions {
    pool: Mutex<Pool>,
    returned: Condvar,
    /// Only one thread logs in.
    pub login_turn: Mutex<()>,
    /// Only one thread signs with a card.
    pub card_turn: Mutex<()>,
}

#[derive(Default)]
struct Pool {
    epoch: u64,
    /// Sessions of earlier epochs are gone without having been closed.
    first_open_epoch: u64,
    slot: Option<SlotId>,
    anchor: Option<Session>,
    idle: Vec<Session>,
    /// How many of this epoch's are at work.
    leased: usize,
    /// How many are at work, those of earlier epochs included.
    at_work: usize,
    login: LoginState,
}

/// Whether the user is logged in, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoginState {
    #[default]
    LoggedOut,
    /// The token asks for no login.
    NotNeeded,
    /// By this PIN; none if somebody else in this process did it.
    ByPin(Option<PinMark>),
    /// The token asks for the PIN itself (a protected authentication path).
    ByPinPad,
}

impl LoginState {
    pub fn by_pin(self) -> bool {
        matches!(self, Self::ByPin(_) | Self::ByPinPad)
    }
}

impl Sessions {
    /// The token was seen in `slot`: its sessions can be opened there without looking again.
    pub fn found_in(&self, slot: SlotId) {
        self.pool().slot.get_or_insert(slot);
    }

    /// The slot that the sessions of this epoch are in.
    pub fn slot(&self) -> Option<SlotId> {
        self.pool().slot
    }

    pub fn are_open(&self) -> bool {
        let pool = self.pool();
        pool.at_work > 0 || pool.anchor.is_some() || !pool.idle.is_empty()
    }

    pub fn epoch(&self) -> u64 {
        self.pool().epoch
    }

    pub fn login(&self) -> LoginState {
        self.pool().login
    }

    /// The login of `epoch` succeeded.
    pub fn set_login(&self, epoch: u64, login: LoginState) {
        let mut pool = self.pool();
        if pool.epoch == epoch {
            pool.login = login;
        }
    }

    /// What belongs to `epoch` is lost; the next operation begins anew. Sessions are closed only if
    /// they are `still_open`: their numbers may be those of somebody else's new sessions. False if it
    /// was known to be lost.
    pub fn lose(&self, module: &Module, epoch: u64, still_open: bool) -> bool {
        let mut pool = self.pool();
        if pool.epoch != epoch {
            return false;
        }
        let old = pool.begin_anew(still_open);
        // The module must not be finalised meanwhile.
        pool.at_work += 1;
        drop(pool);
        if still_open {
            for session in old.idle.into_iter().chain(old.anchor) {
                close(module, session);
            }
        }
        self.pool().at_work -= 1;
        self.returned.notify_all();
        true
    }

    /// The sessions of these tokens are gone, since their module is to be finalised. False, and nothing
    /// done, if one is at work.
    pub fn forget_all<'a>(all: impl Iterator<Item = &'a Self>) -> bool {
        let mut pools: Vec<MutexGuard<'_, Pool>> = all.map(Self::pool).collect();
        let is_idle = pools.iter().all(|pool| pool.at_work == 0);
        if is_idle {
            pools
                .iter_mut()
                .for_each(|pool| drop(pool.begin_anew(false)));
        }
        is_idle
    }

    /// The sessions are gone, since the module was finalised.
    pub fn forget(&self) {
        drop(self.pool().begin_anew(false));
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Begins the next epoch, and returns what was of this one.
    fn begin_anew(&mut self, still_open: bool) -> Self {
        let old = std::mem::take(self);
        self.epoch = old.epoch + 1;
        self.at_work = old.at_work;
        self.first_open_epoch = match still_open {
            true => old.first_open_epoch,
            false => self.epoch,
        };
        old
    }
}

/// A session, leased for one operation.
pub struct Lease {
    module: &'static Module,
    sessions: &'static Sessions,
    session: Option<Session>,
    pub epoch: u64,
}

impl Lease {
    /// Takes a session of `token`, waiting if the token has no more.
    pub fn take(token: &'static Token) -> Result<Self> {
        let sessions = token.sessions();
        let deadline = Instant::now() + PATIENCE;
        let mut lost = false;
        loop {
            let (epoch, slot) = {
                let mut pool = sessions.pool();
                if let Some(session) = pool.idle.pop() {
                    return Ok(Self::of(token, &mut pool, session));
                }
                (pool.epoch, pool.slot)
            };
            let slot = match slot {
                Some(slot) => slot,
                None => token.locate()?,
            };
            let module = token.module.started()?;
            match module.open_session(slot) {
                Ok(session) => {
                    let mut pool = sessions.pool();
                    if pool.epoch != epoch {
                        drop(pool);
                        close(token.module, session);
                        continue;
                    }
                    pool.slot = Some(slot);
                    return Ok(Self::of(token, &mut pool, session));
                }
                Err(error) if code(&error) == Some(RvError::SessionCount) => {
                    if let Some(lease) = Self::existing(token) {
                        return Ok(lease);
                    }
                    if Instant::now() >= deadline {
                        return Err(opening_failed(token, &error));
                    }
                    drop(module);
                    let pool = sessions.pool();
                    drop(sessions.returned.wait_timeout(pool, RETRY));
                }
                // The token may be in another slot now, or the module finalised by somebody else.
                Err(error) if token.has_lost(&error) && !lost => {
                    lost = true;
                    drop(module);
                    token.lose(epoch, &error).heal();
                }
                Err(error) => return Err(opening_failed(token, &error)),
            }
        }
    }

    /// Whether a session of `token` is open and works.
    pub fn works(token: &'static Token) -> bool {
        // Under the lock, so that the anchor stays where it is: without it the login would end.
        let pool = token.sessions().pool();
        match pool.anchor.as_ref().or(pool.idle.last()) {
            Some(session) => token.module.raw().is_logged_in(session).is_ok(),
            // All are at work.
            None => pool.leased > 0,
        }
    }

    /// One that is open already. With a token that allows one session only, the anchor does the work.
    fn existing(token: &'static Token) -> Option<Self> {
        let mut pool = token.sessions().pool();
        let session = match pool.idle.pop() {
            Some(session) => session,
            None if pool.leased == 0 => pool.anchor.take()?,
            None => return None,
        };
        Some(Self::of(token, &mut pool, session))
    }

    fn of(token: &'static Token, pool: &mut Pool, session: Session) -> Self {
        pool.leased += 1;
        pool.at_work += 1;
        Self {
            module: token.module,
            sessions: token.sessions(),
            session: Some(session),
            epoch: pool.epoch,
        }
    }

    /// Something failed in the middle: an operation may still be active on the session.
    pub fn discard(mut self) {
        let is_open = self.epoch >= self.sessions.pool().first_open_epoch;
        if let Some(session) = self.session.take().filter(|_| is_open) {
            close(self.module, session);
        }
    }

    /// Gives the session back for good, to keep the login alive.
    pub fn become_anchor(mut self) {
        let mut pool = self.sessions.pool();
        if pool.epoch == self.epoch && pool.anchor.is_none() {
            pool.anchor = self.session.take();
        }
    }
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        match &self.session {
            Some(session) => session,
            // It is only taken by the methods that consume the lease.
            None => unreachable!("a lease has its session"),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut pool = self.sessions.pool();
        let session = self.session.take();
        if pool.epoch != self.epoch {
            let still_open = self.epoch >= pool.first_open_epoch;
            drop(pool);
            if let Some(session) = session.filter(|_| still_open) {
                close(self.module, session);
            }
            self.sessions.pool().at_work -= 1;
            return;
        }
        pool.leased -= 1;
        pool.at_work -= 1;
        pool.idle.extend(session);
        drop(pool);
        self.sessions.returned.notify_one();
    }
}

fn close(module: &Module, session: Session) {
    if let Err(error) = module.raw().close_session(session) {
        log::debug!("closing a session: {}", describe(&error));
    }
}

#[track_caller]
fn opening_failed(token: &Token, error: &cryptoki::error::Error) -> crate::error::Error {
    failed(&format!("opening a session on {}", token.identity), error)
}
