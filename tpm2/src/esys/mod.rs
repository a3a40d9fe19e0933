//! The ESYS calls that hwkey makes, with tss-esapi's types.
//!
//! tss-esapi 7.7 has a `Context` for them, which can't be used here: it gives the kind of an error
//! instead of the TPM's response code, knows four kinds of TCTI only, has no hash sequences, hashes
//! 1,024 bytes at most, and its `Drop` flushes handles over a connection that a forked child has
//! inherited. So the calls are here, and the types, constants and bindings are tss-esapi's.
//!
//! | file | what |
//! |---|---|
//! | `connection` | a TCTI and the ESYS context on it |
//! | `objects` | loading, saving, flushing, public areas |
//! | `creation` | primary keys, new keys, imported keys |
//! | `signing` | signatures and their verification |
//! | `decryption` | RSA decryption and ECDH |
//! | `hashing` | digests, in one command or in a sequence |
//! | `sessions` | sessions, authorisation values |
//! | `policies` | the commands of a policy |
//! | `nv` | NV indices |
//! | `capabilities` | what a TPM has and can do, random numbers |
//! | `buffers` | TPM2B structures and their bytes |

mod buffers;
mod capabilities;
mod connection;
mod creation;
mod decryption;
mod hashing;
mod nv;
mod objects;
mod policies;
mod sessions;
mod signing;
mod software_keys;

pub use buffers::{
    digest, parameter, private_bytes, public_bytes, read_private, read_public, read_seed,
};
pub use connection::Esys;
pub use hashing::Hashed;
pub use objects::{Handle, Held};
pub use policies::{read_digests, read_pcr_selection};
pub use sessions::{Authorised, Kind, NO_SESSIONS, PASSWORD, Protection, Sessions};

use std::ops::Deref;
use std::ptr::NonNull;

use tpm2_abi::{Cause, Failure};
use tss_esapi::tss2_esys::{Esys_Free, TSS2_RC};

pub type Result<T> = std::result::Result<T, Failure>;

/// The failure of `function` with a response code.
fn check(function: &str, code: TSS2_RC) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(Failure {
            function: function.into(),
            cause: Cause::Code(code),
            lockout: None,
        }),
    }
}

/// The failure of `function` in words.
pub fn told(function: &str, text: impl Into<String>) -> Failure {
    Failure {
        function: function.into(),
        cause: Cause::Told(text.into()),
        lockout: None,
    }
}

/// What ESYS has allocated.
pub struct Owned<T>(NonNull<T>);

impl<T> Owned<T> {
    /// # Safety
    /// `pointer` must be null or point to a `T` that ESYS has allocated and nobody else frees.
    unsafe fn new(function: &str, pointer: *mut T) -> Result<Self> {
        let pointer = NonNull::new(pointer);
        pointer
            .map(Self)
            .ok_or_else(|| told(function, "success without a result"))
    }

    /// As [`Self::new`], for what may be missing.
    ///
    /// # Safety
    /// As there.
    unsafe fn drop_raw(pointer: *mut T) {
        drop(NonNull::new(pointer).map(Self));
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the constructor's promise.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the constructor's promise.
        unsafe { Esys_Free(self.0.as_ptr().cast()) };
    }
}

impl<T> Owned<T> {
    /// To clear what is secret in it.
    fn as_mut(&mut self) -> &mut T {
        // SAFETY: the constructor's promise; it is borrowed for this alone.
        unsafe { self.0.as_mut() }
    }
}
