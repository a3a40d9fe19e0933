//! Reference files that are being read.
//!
//! OpenSSL decodes them in two steps, PEM and then DER, the second within the first one's callback
//! and asked of one decoder per key type. What these have to tell each other is kept here, for the
//! thread that reads.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use ossl_shim::process::PerProcess;

use crate::error::{Error, Result};
use crate::key::Key;

/// The files that are being read now, by any thread.
#[derive(Default)]
pub struct Readings(PerProcess<Mutex<Vec<Reading>>>);

struct Reading {
    thread: ThreadId,
    /// Found by the decoder of another type, which is asked first.
    found: Option<(Vec<u8>, Key)>,
    /// Why the second step failed. OSSL_STORE drops what that step itself puts into the queue
    /// (`ossl_store_handle_load_result`), so the first one reports it.
    failure: Option<Error>,
}

impl Readings {
    /// The first step hands over to the second.
    pub fn begin(&self) {
        self.all().push(Reading {
            thread: thread::current().id(),
            found: None,
            failure: None,
        });
    }

    /// The second step is done; the error that it left.
    pub fn finish(&self) -> Result<()> {
        let me = thread::current().id();
        let mut all = self.all();
        let position = all.iter().rposition(|reading| reading.thread == me);
        match position.and_then(|position| all.swap_remove(position).failure) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// Keeps the key that `der` names for the decoder of its type.
    pub fn hand_over(&self, der: Vec<u8>, key: Key) {
        self.mine(|reading| reading.found = Some((der, key)));
    }

    /// The key that another decoder found for `der`.
    pub fn take_over(&self, der: &[u8]) -> Option<Key> {
        let found = self.mine(|reading| reading.found.take_if(|(found, _)| found == der));
        found.flatten().map(|(_, key)| key)
    }

    /// Leaves `error` of the second step to the first, if that is under way.
    pub fn fail(&self, error: Error) -> Error {
        let reason = error.reason();
        let mut error = Some(error);
        self.mine(|reading| reading.failure = error.take());
        error.unwrap_or_else(|| Error::reported_elsewhere(reason))
    }

    fn mine<T>(&self, work: impl FnOnce(&mut Reading) -> T) -> Option<T> {
        let me = thread::current().id();
        let mut all = self.all();
        let reading = all.iter_mut().rfind(|reading| reading.thread == me);
        reading.map(work)
    }

    fn all(&self) -> MutexGuard<'_, Vec<Reading>> {
        let all = self.0.get(Mutex::default);
        all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
