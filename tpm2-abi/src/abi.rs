//! What crosses in C.

use std::ffi::{c_char, c_int, c_void};

/// The version of [`Interface`] and of the messages. It changes whenever one of them does: both
/// modules are built and installed together.
pub const VERSION: u32 = 1;

/// The symbol that `hwkey-tpm2.so` exports, an [`Entry`].
pub const SYMBOL: &[u8] = b"hwkey_tpm2_interface\0";

/// `const struct hwkey_tpm2_interface *hwkey_tpm2_interface(void)`.
pub type Entry = unsafe extern "C" fn() -> *const Interface;

/// `struct hwkey_tpm2_interface`. The first two fields are the same in all versions.
#[repr(C)]
pub struct Interface {
    /// [`VERSION`].
    pub version: u32,
    /// The release that the part belongs to, a C string.
    pub release: *const c_char,
    pub call: Call,
}

// SAFETY: it points to constants only.
unsafe impl Sync for Interface {}

/// Answers a request: `length` bytes at `request`. The answer is handed to `take`, once, together with
/// `to`, before this returns 1; 0 says that there is none.
pub type Call =
    unsafe extern "C" fn(request: *const u8, length: usize, take: Take, to: *mut c_void) -> c_int;

/// Takes an answer: `length` bytes at `reply`, which are gone when it returns.
pub type Take = unsafe extern "C" fn(to: *mut c_void, reply: *const u8, length: usize);
