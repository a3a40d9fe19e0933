//! The life of a module in one process: C_Initialize at the first use, and again after C_Finalize,
//! where nothing else heals it.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use cryptoki::error::{Error as CryptokiError, RvError};

use super::failure::{code, describe};

/// How long a restart waits until nobody is in the module.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(5);

/// Initialisation in one process. No lock is held across C_Initialize: a module that uses OpenSSL
/// itself (SoftHSM) reads openssl.cnf there and comes back to us.
#[derive(Default)]
pub struct Life {
    state: Mutex<State>,
    changed: Condvar,
    /// A forked child has what its parent's module had in memory.
    is_inherited: bool,
}

#[derive(Default)]
struct State {
    stage: Stage,
    /// How often the module was initialised.
    number: u64,
    /// Not somebody else in this process initialised it, who would be surprised by a C_Finalize.
    is_ours: bool,
    /// How many threads are in the module without a session.
    users: usize,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    NotStarted,
    Starting(ThreadId),
    Started,
}

/// Which of the lives of a module: what belongs to an earlier one is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeNumber(u64);

/// The module is asked for while it is being initialised, by itself.
pub struct AskedByItself;

impl Life {
    /// In a forked child of a process whose module was connected to a service.
    pub fn inherited() -> Self {
        Self {
            is_inherited: true,
            ..Self::default()
        }
    }

    /// Starts the module, unless it is, and lets the caller use it.
    pub fn started<'a>(
        &'a self,
        raw: &'a p11_raw::Module,
    ) -> Result<Result<InUse<'a>, CryptokiError>, AskedByItself> {
        let me = thread::current().id();
        let mut state = self.lock();
        loop {
            match state.stage {
                Stage::Started => {
                    state.users += 1;
                    return Ok(Ok(InUse { life: self, raw }));
                }
                Stage::NotStarted => break,
                Stage::Starting(thread) if thread == me => return Err(AskedByItself),
                Stage::Starting(_) => {
                    let waited = self.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        state.stage = Stage::Starting(me);
        let is_first = state.number == 0;
        drop(state);
        // ykcs11 goes on with its parent's handles after C_Initialize.
        if self.is_inherited && is_first && raw.initialize().is_ok() {
            if let Err(error) = raw.finalize() {
                log::debug!("{}", describe(&error));
            }
        }
        let outcome = self.initialize(raw, 1);
        Ok(outcome.map(|()| InUse { life: self, raw }))
    }

    /// C_Initialize, for so many users. The stage is `Starting` by this thread.
    fn initialize(&self, raw: &p11_raw::Module, users: usize) -> Result<(), CryptokiError> {
        let outcome = raw.initialize();
        let is_ours = outcome.is_ok();
        let outcome = outcome.or_else(|error| match code(&error) {
            Some(RvError::CryptokiAlreadyInitialized) => Ok(()),
            _ => Err(error),
        });
        let mut state = self.lock();
        match &outcome {
            Ok(()) => {
                state.stage = Stage::Started;
                state.number += 1;
                state.is_ours = is_ours;
                state.users += users;
            }
            Err(_) => state.stage = Stage::NotStarted,
        }
        drop(state);
        self.changed.notify_all();
        outcome
    }

    /// Someone else finalised the module: it is to be initialised again. Whether that is news.
    pub fn was_finalized(&self) -> bool {
        let mut state = self.lock();
        let is_news = state.stage == Stage::Started;
        if is_news {
            state.stage = Stage::NotStarted;
        }
        is_news
    }

    pub fn number(&self) -> LifeNumber {
        LifeNumber(self.lock().number)
    }

    /// Ends the life `seen`, and begins another, if `forget` can forget all sessions (nobody works
    /// with one) and nobody else initialised the module. Whether another has begun.
    pub fn restart(
        &self,
        raw: &p11_raw::Module,
        path: &Path,
        seen: LifeNumber,
        forget: impl Fn() -> bool,
    ) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.lock();
        loop {
            if state.number != seen.0 {
                return true;
            }
            if state.stage != Stage::Started {
                // Another thread is at it, or the next use is.
                return true;
            }
            if !state.is_ours || Instant::now() > deadline {
                log::debug!("{} is in use, so that it is not restarted", path.display());
                return false;
            }
            if state.users == 0 && forget() {
                break;
            }
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.stage = Stage::Starting(thread::current().id());
        drop(state);
        log::debug!("restarting {}", path.display());
        if let Err(error) = raw.finalize() {
            log::debug!("{}", describe(&error));
        }
        match self.initialize(raw, 0) {
            Ok(()) => true,
            Err(error) => {
                log::debug!("{}", describe(&error));
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The module, started. It is not restarted while somebody has this.
pub struct InUse<'a> {
    life: &'a Life,
    raw: &'a p11_raw::Module,
}

impl Deref for InUse<'_> {
    type Target = p11_raw::Module;

    fn deref(&self) -> &p11_raw::Module {
        self.raw
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.life.lock().users -= 1;
    }
}
