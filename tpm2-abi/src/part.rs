//! The side of `hwkey-tpm2.so`.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use crate::abi::Take;
use crate::wire::{from_bytes, to_bytes};
use crate::{Cause, Failure, Reply, Request};

/// Answers one call: what [`export!`](crate::export) puts behind the C function. No panic gets out.
///
/// # Safety
/// The arguments must be those of an [`abi::Call`](crate::abi::Call).
pub unsafe fn answer(
    request: *const u8,
    length: usize,
    take: Take,
    to: *mut c_void,
    work: fn(Request) -> Reply,
) -> c_int {
    if request.is_null() {
        return 0;
    }
    // SAFETY: the caller's promise.
    let request = unsafe { slice::from_raw_parts(request, length) };
    let reply = catch_unwind(AssertUnwindSafe(|| match from_bytes(request) {
        Ok(request) => work(request),
        Err(problem) => Err(internal(&problem)),
    }));
    let reply = reply.unwrap_or_else(|_| Err(internal("a panic in hwkey-tpm2.so")));
    let Ok(bytes) = to_bytes(&reply) else {
        return 0;
    };
    // SAFETY: the host's function, called within its call, with its pointer and readable bytes.
    unsafe { take(to, bytes.as_ptr(), bytes.len()) };
    1
}

fn internal(problem: &str) -> Failure {
    Failure {
        function: "hwkey-tpm2".into(),
        cause: Cause::Told(problem.into()),
        lockout: None,
    }
}

/// Exports the interface, with `work` to answer requests.
#[macro_export]
macro_rules! export {
    ($work:path) => {
        unsafe extern "C" fn call(
            request: *const u8,
            length: usize,
            take: $crate::abi::Take,
            to: *mut ::std::ffi::c_void,
        ) -> ::std::ffi::c_int {
            // SAFETY: the arguments are the host's, passed on as they came.
            unsafe { $crate::part::answer(request, length, take, to, $work) }
        }

        /// What `hwkey.so` looks for.
        #[unsafe(no_mangle)]
        pub extern "C" fn hwkey_tpm2_interface() -> *const $crate::abi::Interface {
            static INTERFACE: $crate::abi::Interface = $crate::abi::Interface {
                version: $crate::abi::VERSION,
                release: concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast(),
                call,
            };
            &INTERFACE
        }
    };
}
