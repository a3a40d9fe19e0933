//! Slots that a killed process has left full.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ossl_shim::process::PerProcess;
use tpm2_abi::{Source, Task};
use tss_esapi::constants::tss::{TPM2_LOADED_SESSION_FIRST, TPM2_TRANSIENT_FIRST};
use tss_esapi::tss2_esys::TPM2B_PUBLIC;

use crate::connections::Place;
use crate::esys::{Esys, Result, public_bytes, read_public};
use crate::kept::Recent;
use crate::primary::Kind;
use crate::task;

/// A slot that was full for so long is not in use any more.
const LIFETIME: Duration = Duration::from_secs(2);

/// The public areas of the keys in files that this process has asked for, whether it was their turn yet or
/// not: a task that waits for its own key's slots does not know the keys of those behind it.
static WANTED: PerProcess<Mutex<Recent<Vec<u8>, ()>>> = PerProcess::new();

/// More are not remembered.
const MOST_WANTED: usize = 128;

/// Remembers the key that `task` is for.
pub fn note(task: &Task) {
    if let Some(Source::Wrapped { public, .. }) = task::object(task).map(|it| &it.source) {
        with_wanted(|wanted| {
            if wanted.get(public).is_none() {
                wanted.insert(public.clone(), ());
            }
        });
    }
}

fn with_wanted<T>(work: impl FnOnce(&mut Recent<Vec<u8>, ()>) -> T) -> T {
    let wanted = WANTED.get(|| Mutex::new(Recent::new(MOST_WANTED)));
    work(&mut wanted.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What fills the slots, when we first looked. It is for whoever has the turn: then none of it belongs
/// to a process of hwkey that lives. (A resource manager looks after its own.)
#[derive(Default)]
pub struct Room(Option<Found>);

struct Found {
    at: Instant,
    objects: Vec<u32>,
    sessions: Vec<u32>,
}

impl Room {
    /// Flushes what a killed process of hwkey must have left: keys that this process wants, the parents
    /// that everybody can make again, and sessions, if all was there the whole time. Sessions of others
    /// are in the slots for a moment only, too: what lasts is saved.
    pub fn make(&mut self, place: &Place) {
        let Some(connection) = &place.connection else {
            return;
        };
        let esys = &connection.esys;
        match &self.0 {
            None => self.0 = Found::look(esys).ok(),
            Some(found) if found.at.elapsed() >= LIFETIME => {
                let _ = found.flush_what_is_left(esys);
                self.0 = None;
            }
            Some(_) => {}
        }
    }
}

impl Found {
    fn look(esys: &Esys) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            objects: esys.handles(TPM2_TRANSIENT_FIRST)?,
            sessions: esys.handles(TPM2_LOADED_SESSION_FIRST)?,
        })
    }

    fn flush_what_is_left(&self, esys: &Esys) -> Result<()> {
        let now = Self::look(esys)?;
        let wanted = wanted();
        for object in now.objects {
            if self.objects.contains(&object) && is_left(esys, object, &wanted) {
                flush(esys, object)?;
            }
        }
        if now.sessions == self.sessions {
            for session in now.sessions {
                flush(esys, session)?;
            }
        }
        Ok(())
    }
}

fn flush(esys: &Esys, number: u32) -> Result<()> {
    let handle = esys.reference(number)?.into_handle();
    esys.flush(handle).inspect_err(|_| esys.forget(handle))
}

/// In the form that the TPM gives.
fn wanted() -> Vec<Vec<u8>> {
    let areas = with_wanted(|wanted| wanted.keys().cloned().collect::<Vec<_>>());
    let read = |area: Vec<u8>| public_bytes(&read_public(&area).ok()?).ok();
    areas.into_iter().filter_map(read).collect()
}

fn is_left(esys: &Esys, object: u32, wanted: &[Vec<u8>]) -> bool {
    let Ok(object) = esys.reference(object) else {
        return false;
    };
    let is_wanted =
        |area: &TPM2B_PUBLIC| public_bytes(area).is_ok_and(|area| wanted.contains(&area));
    esys.read_public(object.handle())
        .is_ok_and(|area| Kind::is_of_one(&area) || is_wanted(&area))
}
