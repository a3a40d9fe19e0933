//! Slots that a killed process has left full.

use std::time::Duration;

use tpm2_abi::{Area, Source, Task};
use tss_esapi::constants::tss::{
    TPM2_LOADED_SESSION_FIRST, TPM2_TRANSIENT_FIRST, TPMA_OBJECT_DECRYPT, TPMA_OBJECT_FIXEDPARENT,
    TPMA_OBJECT_FIXEDTPM, TPMA_OBJECT_NODA, TPMA_OBJECT_RESTRICTED,
    TPMA_OBJECT_SENSITIVEDATAORIGIN, TPMA_OBJECT_USERWITHAUTH,
};

use crate::area;
use crate::connections::Place;
use crate::esys::{self, Esys, Held, Result};
use crate::task;
use crate::tcti::Sharing;

/// Whoever lives has let go of a slot by then.
const LIFETIME: Duration = Duration::from_secs(2);

/// Nothing tells whose a session is. Whoever holds one longer than this, where all share so few, keeps
/// everybody from the TPM.
const LIFETIME_OF_SESSIONS: Duration = Duration::from_secs(5);

/// The primary keys of all tools, with or without noDA.
const PRIMARY: u32 = TPMA_OBJECT_FIXEDTPM
    | TPMA_OBJECT_FIXEDPARENT
    | TPMA_OBJECT_SENSITIVEDATAORIGIN
    | TPMA_OBJECT_USERWITHAUTH
    | TPMA_OBJECT_RESTRICTED
    | TPMA_OBJECT_DECRYPT;

/// Flushes what a killed process of hwkey has left, where no resource manager does: we have the
/// turn, so an object that is one of ours belongs to nobody who lives. A device that only we have open
/// has nothing of anybody else's.
pub fn make(place: &Place, task: &Task, waited: Duration) {
    let Some(connection) = &place.connection else {
        return;
    };
    let lifetimes = match place.sharing {
        Sharing::Managed => return,
        Sharing::Slots => [LIFETIME, LIFETIME_OF_SESSIONS],
        Sharing::Exclusive => [Duration::ZERO; 2],
    };
    let [objects, sessions] = lifetimes.map(|lifetime| waited >= lifetime);
    let esys = &connection.esys;
    let is_ours = |object: &Held<'_>| {
        place.sharing == Sharing::Exclusive || is_one_of_ours(esys, object, place, task)
    };
    if objects {
        let _ = flush(esys, TPM2_TRANSIENT_FIRST, is_ours);
    }
    if sessions {
        let _ = flush(esys, TPM2_LOADED_SESSION_FIRST, |_| true);
    }
}

/// Whether it is a primary key that everybody makes anew, a key that this process has loaded before, or
/// the one that the task is about.
fn is_one_of_ours(esys: &Esys, object: &Held<'_>, place: &Place, task: &Task) -> bool {
    let Ok((area, public)) = look_at(esys, object) else {
        return false;
    };
    let wanted = match task::object(task).map(|object| &object.source) {
        Some(Source::Wrapped { public, .. }) => Some(public),
        _ => None,
    };
    let kept = place.kept.borrow();
    let mut known = kept.keys.values();
    area.attributes & !TPMA_OBJECT_NODA == PRIMARY
        || wanted == Some(&public)
        || known.any(|known| known.name == area.name)
}

fn look_at(esys: &Esys, object: &Held<'_>) -> Result<(Area, Vec<u8>)> {
    let public = esys.read_public(object.handle())?;
    let area = area::area(&public, esys.name(object.handle())?)?;
    Ok((area, esys::public_bytes(&public)?))
}

fn flush(esys: &Esys, first: u32, is_ours: impl Fn(&Held<'_>) -> bool) -> Result<()> {
    for number in esys.handles(first)? {
        let Ok(held) = esys.reference(number) else {
            continue;
        };
        if is_ours(&held) {
            let handle = held.into_handle();
            if esys.flush(handle).is_err() {
                esys.forget(handle);
            }
        }
    }
    Ok(())
}
