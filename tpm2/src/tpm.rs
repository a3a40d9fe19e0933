//! What a task has at hand.

use std::cell::RefCell;
use std::sync::Arc;

use tpm2_abi::Area;

use crate::esys::{Esys, Handle, Result};
use crate::kept::{Kept, Recent};
use crate::tcti::{check_device, check_family, has_descriptor};

/// A connection, and what ESYS keeps in it.
pub struct Connection {
    pub esys: Esys,
    /// By the TPM's handle. ESYS has a little memory for each, which is freed with the connection.
    persistent: RefCell<Recent<u32, (Handle, Arc<Area>)>>,
    /// Tasks that it was used for.
    pub uses: u32,
}

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
        for (handle, _) in self.persistent.borrow_mut().drain() {
            self.esys.forget(handle);
        }
    }
}

/// The TPM, for one task.
pub struct Tpm<'c> {
    pub esys: &'c Esys,
    pub kept: &'c RefCell<Kept>,
    persistent: &'c RefCell<Recent<u32, (Handle, Arc<Area>)>>,
}

impl<'c> Tpm<'c> {
    pub fn new(connection: &'c Connection, kept: &'c RefCell<Kept>) -> Self {
        Self {
            esys: &connection.esys,
            kept,
            persistent: &connection.persistent,
        }
    }

    /// A persistent object that was looked at before.
    pub fn known_persistent(&self, number: u32) -> Option<(Handle, Arc<Area>)> {
        self.persistent.borrow_mut().get(&number).cloned()
    }

    pub fn keep_persistent(&self, number: u32, handle: Handle, area: Arc<Area>) {
        let mut known = self.persistent.borrow_mut();
        if let Some((oldest, _)) = known.insert(number, (handle, area)) {
            self.esys.forget(oldest);
        }
    }
}
