//! Slots that a killed process has left full.

use std::time::Duration;

use tss_esapi::constants::tss::TPM2_TRANSIENT_FIRST;

use crate::connections::Place;
use crate::esys::{Esys, Result};
use crate::tcti::Sharing;

/// Whoever lives has let go of a slot by then.
const LIFETIME: Duration = Duration::from_secs(2);

/// Flushes what a killed process of hwkey has left, where no resource manager does: we have the
/// turn, so an object that is one of ours belongs to nobody who lives.
pub fn make(place: &Place, waited: Duration) {
    if place.sharing == Sharing::Managed || waited < LIFETIME {
        return;
    }
    let Some(connection) = &place.connection else {
        return;
    };
    let kept = place.kept.borrow();
    let ours: Vec<&[u8]> = kept.keys.values().map(|known| &known.name[..]).collect();
    let _ = flush(&connection.esys, &ours);
}

fn flush(esys: &Esys, ours: &[&[u8]]) -> Result<()> {
    for number in esys.handles(TPM2_TRANSIENT_FIRST)? {
        let Ok(object) = esys.reference(number) else {
            continue;
        };
        if esys
            .name(object.handle())
            .is_ok_and(|name| ours.contains(&&name[..]))
        {
            let handle = object.into_handle();
            if esys.flush(handle).is_err() {
                esys.forget(handle);
            }
        }
    }
    Ok(())
}
