//! Slots that a killed process has left full.

use std::time::{Duration, Instant};

use tpm2_abi::{Source, Task};
use tss_esapi::constants::tss::{TPM2_LOADED_SESSION_FIRST, TPM2_TRANSIENT_FIRST};
use tss_esapi::tss2_esys::TPM2B_PUBLIC;

use crate::connections::Place;
use crate::esys::{Esys, Result, read_public};
use crate::primary::Kind;
use crate::task;

/// A slot that was full for so long is not in use any more.
const LIFETIME: Duration = Duration::from_secs(2);

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
    /// Flushes what a killed process of hwkey must have left: the
    /// key that is wanted, the parents that everybody can make again, and sessions, if all was there
    /// the whole time. Sessions of others are in the slots for a moment only, too: what lasts is saved.
    pub fn make(&mut self, place: &Place, task: &Task) {
        let Some(connection) = &place.connection else {
            return;
        };
        let esys = &connection.esys;
        match &self.0 {
            None => self.0 = Found::look(esys).ok(),
            Some(found) if found.at.elapsed() >= LIFETIME => {
                let _ = found.flush_what_is_left(esys, task);
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

    fn flush_what_is_left(&self, esys: &Esys, task: &Task) -> Result<()> {
        let now = Self::look(esys)?;
        let wanted = wanted(task);
        for object in now.objects {
            if self.objects.contains(&object) && is_left(esys, object, wanted.as_ref()) {
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

/// The public area of the key that the task is for.
fn wanted(task: &Task) -> Option<TPM2B_PUBLIC> {
    match &task::object(task)?.source {
        Source::Wrapped { public, .. } => read_public(public).ok(),
        Source::Persistent(_) | Source::Saved(_) => None,
    }
}

fn is_left(esys: &Esys, object: u32, wanted: Option<&TPM2B_PUBLIC>) -> bool {
    let Ok(object) = esys.reference(object) else {
        return false;
    };
    esys.read_public(object.handle())
        .is_ok_and(|area| Kind::is_of_one(&area) || is_same(&area, wanted))
}

fn is_same(area: &TPM2B_PUBLIC, wanted: Option<&TPM2B_PUBLIC>) -> bool {
    let bytes = crate::esys::public_bytes;
    wanted.is_some_and(|wanted| bytes(area).is_ok_and(|area| bytes(wanted) == Ok(area)))
}
