//! The program's passphrase callback, which OpenSSL offers in store, decoder and encoder calls.

use std::ffi::c_void;
use std::marker::PhantomData;

use crate::abi::{PassphraseCallback, names};
use crate::core::c_string;
use crate::params::ParamList;

/// Asks the program for a passphrase. It lives for the one call it was given to.
pub struct Passphrase<'a> {
    callback: Option<PassphraseCallback>,
    data: *mut c_void,
    lent: PhantomData<&'a mut c_void>,
}

impl Passphrase<'_> {
    /// # Safety
    /// `callback` and `data` must be as the core passed them, and valid for the lifetime.
    pub(crate) unsafe fn new(callback: Option<PassphraseCallback>, data: *mut c_void) -> Self {
        Self {
            callback,
            data,
            lent: PhantomData,
        }
    }

    /// Fills `buffer` with what the user answers and returns its length in bytes; `None` if nobody
    /// can be asked or the user gave up. OpenSSL's own prompt reads "Enter pass phrase for INFO:".
    pub fn ask(&mut self, info: &str, buffer: &mut [u8]) -> Option<usize> {
        let callback = self.callback?;
        let params = ParamList::new().utf8(names::PASSPHRASE_INFO, &c_string(info));
        let mut length = 0;
        // SAFETY: the callback is the core's; buffer, length and params live through the call.
        let ok = unsafe {
            callback(
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &mut length,
                params.as_ptr(),
                self.data,
            )
        };
        (ok == 1 && length <= buffer.len()).then_some(length)
    }
}
