//! What a task has at hand.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tpm2_abi::Area;

use crate::esys::{Esys, Handle, Held, Result};
use crate::kept::{Kept, Recent};
use crate::tcti::{check_device, check_family, has_descriptor};

/// A connection, and what ESYS keeps in it.
pub struct Connection {
    pub esys: Esys,
    /// By the TPM's handle. ESYS has a little memory for each, which is freed with the connection.
    persistent: RefCell<Recent<u32, Persistent>>,
    /// Tasks that it was used for.
    pub uses: u32,
}

/// A persistent object that was looked at.
struct Persistent {
    handle: Handle,
    area: Arc<Area>,
    looked_at: Instant,
}

/// The administrator may put another object in its place. With an empty authorisation value the TPM would
/// not say so; looking again costs as much as half a signature.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// ESYS numbers what it is shown, and does not expect to come to the end of the numbers.
pub const MOST_USES: u32 = 1 << 26;

impl Connection {
    pub fn open(tcti: &str) -> Result<Self> {
        check_family(tcti)?;
        check_device(tcti)?;
        let esys = Esys::open(tcti)?;
        if has_descriptor(tcti) {
            esys.close_on_exec();
        }
        Ok(Self {
            esys,
            persistent: RefCell::new(Recent::new(128)),
            uses: 0,
        })
    }

    pub fn forget(&self) {
        for known in self.persistent.borrow_mut().drain() {
            self.esys.forget(known.handle);
        }
    }
}

/// The TPM, for one task.
pub struct Tpm<'c> {
    pub esys: &'c Esys,
    pub kept: &'c RefCell<Kept>,
    persistent: &'c RefCell<Recent<u32, Persistent>>,
}

impl<'c> Tpm<'c> {
    pub fn new(connection: &'c Connection, kept: &'c RefCell<Kept>) -> Self {
        Self {
            esys: &connection.esys,
            kept,
            persistent: &connection.persistent,
        }
    }

    /// A persistent object that was looked at a short while ago.
    pub fn known_persistent(&self, number: u32) -> Option<(Handle, Arc<Area>)> {
        let mut known = self.persistent.borrow_mut();
        let known = known.get(&number)?;
        let is_fresh = known.looked_at.elapsed() < TRUSTED_FOR;
        is_fresh.then(|| (known.handle, known.area.clone()))
    }

    /// Looks at what has a handle in the TPM. ESYS has one number for it at a time: what was known of it
    /// is forgotten.
    pub fn reference(&self, number: u32) -> Result<Held<'c>> {
        if let Some(old) = self.persistent.borrow_mut().remove(&number) {
            self.esys.forget(old.handle);
        }
        self.esys.reference(number)
    }

    pub fn keep_persistent(&self, number: u32, handle: Handle, area: Arc<Area>) {
        let new = Persistent {
            handle,
            area,
            looked_at: Instant::now(),
        };
        if let Some(old) = self.persistent.borrow_mut().insert(number, new) {
            self.esys.forget(old.handle);
        }
    }
}
