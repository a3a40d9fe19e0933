//! The PKCS#11 modules of this process.
//!
//! Modules, sessions and logins exist once per process, however many library contexts or OpenSSLs
//! are in it, so they are kept here and never closed: code of a module may run at any time, and
//! C_Finalize at exit crashes some.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ossl_shim::process::{AppendOnly, PerProcess};

use super::module::{FileId, Module};
use crate::error::{Error, Reason, Result, system_text};

static MODULES: AppendOnly<Module> = AppendOnly::new();

/// Only one thread opens modules.
static OPENING: PerProcess<Mutex<()>> = PerProcess::new();

/// The module at `path`, opened once.
pub fn open(path: &Path) -> Result<&'static Module> {
    let metadata = fs::metadata(path).map_err(|error| {
        let (path, error) = (path.display(), system_text(&error));
        Error::new(
            Reason::ModuleUnavailable,
            format!(
                "opening the PKCS#11 module {path}: {error}; correct pkcs11-module-path in hwkey's \
                 section of openssl.cnf, or install the package that has the module"
            ),
        )
    })?;
    let id = FileId {
        device: metadata.dev(),
        inode: metadata.ino(),
    };
    let known = || MODULES.iter().find(|module| module.file == id);
    if let Some(module) = known() {
        return Ok(module);
    }
    let opening = OPENING.get(Mutex::default);
    let _turn = opening.lock().unwrap_or_else(PoisonError::into_inner);
    match known() {
        Some(module) => Ok(module),
        None => Ok(MODULES.push(Module::open(path, id)?)),
    }
}
