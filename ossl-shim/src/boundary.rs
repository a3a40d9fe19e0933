//! The boundary that every entry from C passes: panics stop here, errors become queue entries.

use std::any::Any;
use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::fault::Fault;
use crate::ownership::ContextRef;
use crate::provider::Provider;

/// What a C function answers when it failed.
pub(crate) trait Failure {
    const FAILURE: Self;
}

impl Failure for c_int {
    const FAILURE: Self = 0;
}

impl Failure for usize {
    const FAILURE: Self = 0;
}

impl Failure for *mut c_void {
    const FAILURE: Self = ptr::null_mut();
}

/// Runs `body` for OpenSSL's call of `function`; an error or panic is put into the queue.
pub(crate) fn enter<P: Provider, R: Failure>(
    context: Result<ContextRef<P>, Fault>,
    function: &CStr,
    body: impl FnOnce(ContextRef<P>) -> Result<R, P::Error>,
) -> R {
    let Ok(context) = context else {
        return R::FAILURE;
    };
    let outcome = caught(|| body(context)).unwrap_or_else(|panic| Err(P::Error::from(panic)));
    outcome.unwrap_or_else(|error| {
        // Reporting runs the provider's code (its texts, its log) and so must not unwind either.
        let _ = caught(|| context.get().core.raise(function, &error));
        R::FAILURE
    })
}

/// For entries that can't fail or have nobody to tell: `fallback` in place of a panic.
pub(crate) fn quietly<R>(fallback: R, body: impl FnOnce() -> R) -> R {
    caught(body).unwrap_or(fallback)
}

fn caught<R>(body: impl FnOnce() -> R) -> Result<R, Fault> {
    let _errno = Errno::kept();
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let message = message(&*payload);
        // Dropping the payload runs foreign code that may panic again.
        std::mem::forget(payload);
        Fault::Panic(message)
    })
}

/// Restores errno when dropped. Python takes what a PKCS#11 module left there for the reason why a
/// key did not load ("No such file or directory"), in place of OpenSSL's queue.
struct Errno(c_int);

impl Errno {
    fn kept() -> Self {
        // SAFETY: the address of this thread's errno is always valid.
        Self(unsafe { *libc::__errno_location() })
    }
}

impl Drop for Errno {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_stops_at_the_boundary_with_its_message() {
        assert_eq!(quietly(7, || panic!("told")), 7);
        let number = 3;
        let fault = caught(|| panic!("number {number}")).err();
        assert_eq!(fault, Some(Fault::Panic("number 3".into())));
    }

    #[test]
    fn errno_is_as_it_was() {
        let errno = || std::io::Error::last_os_error().raw_os_error();
        let before = errno();
        assert!(caught(|| std::fs::metadata("/nothing/here").is_err()).is_ok_and(|failed| failed));
        assert_eq!(errno(), before);
    }
}
