//! A TCTI and the ESYS context on it.

use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::slice;

use rustix::io::{FdFlags, fcntl_setfd};
use tss_esapi::constants::tss::TPM2_SU_CLEAR;
use tss_esapi::tss2_esys::{
    ESYS_CONTEXT, Esys_Finalize, Esys_Free, Esys_GetPollHandles, Esys_Initialize, Esys_Startup,
    TSS2_TCTI_CONTEXT, Tss2_TctiLdr_Finalize, Tss2_TctiLdr_Initialize,
};

use super::{Result, check, told};

/// A connection to a TPM.
///
/// Its methods take `&self`, since what they hand out (objects that flush themselves) refers to it;
/// it is not `Sync`, so one thread is in it at a time.
pub struct Esys {
    context: NonNull<ESYS_CONTEXT>,
    tcti: NonNull<TSS2_TCTI_CONTEXT>,
}

// SAFETY: ESYS keeps nothing that belongs to a thread.
unsafe impl Send for Esys {}

impl Esys {
    pub fn open(tcti: &str) -> Result<Self> {
        let name = "Tss2_TctiLdr_Initialize";
        let conf = CString::new(tcti).map_err(|_| told(name, "a NUL byte in the TCTI's name"))?;
        let mut tcti = ptr::null_mut();
        // SAFETY: a C string, and a place for one pointer.
        check(name, unsafe {
            Tss2_TctiLdr_Initialize(conf.as_ptr(), &mut tcti)
        })?;
        let tcti = NonNull::new(tcti).ok_or_else(|| told(name, "success without a result"))?;
        let mut context = ptr::null_mut();
        // SAFETY: an initialised TCTI, and a place for one pointer; no ABI version is asked for.
        let code = unsafe { Esys_Initialize(&mut context, tcti.as_ptr(), ptr::null_mut()) };
        let context = NonNull::new(context);
        let (Some(context), Ok(())) = (context, check("Esys_Initialize", code)) else {
            // SAFETY: the TCTI is initialised, and nobody else has it.
            unsafe { Tss2_TctiLdr_Finalize(&mut tcti.as_ptr()) };
            check("Esys_Initialize", code)?;
            return Err(told("Esys_Initialize", "success without a result"));
        };
        Ok(Self { context, tcti })
    }

    /// Programs that the program starts have no business with the TPM.
    pub fn close_on_exec(&self) {
        let mut handles = ptr::null_mut();
        let mut count = 0;
        // SAFETY: places for a pointer and a number.
        let code = unsafe { Esys_GetPollHandles(self.context(), &mut handles, &mut count) };
        if code != 0 || handles.is_null() {
            return;
        }
        // SAFETY: ESYS has allocated so many handles.
        let known = unsafe { slice::from_raw_parts(handles, count as usize) };
        for handle in known.iter().filter(|handle| handle.fd >= 0) {
            // SAFETY: the TCTI has it open.
            let _ = fcntl_setfd(
                unsafe { BorrowedFd::borrow_raw(handle.fd) },
                FdFlags::CLOEXEC,
            );
        }
        // SAFETY: as above; nobody else frees it.
        unsafe { Esys_Free(handles.cast()) };
    }

    /// TPM2_Startup, which the firmware has sent on most machines.
    pub fn start_up(&self) -> Result<()> {
        // SAFETY: the context is initialised.
        check("TPM2_Startup", unsafe {
            Esys_Startup(self.context(), TPM2_SU_CLEAR)
        })
    }

    /// The context, for a call.
    pub(super) fn context(&self) -> *mut ESYS_CONTEXT {
        self.context.as_ptr()
    }
}

impl Drop for Esys {
    fn drop(&mut self) {
        // SAFETY: both are initialised, in this process (a forked child drops nothing of its
        // parent's), and gone afterwards. Nothing is sent to the TPM.
        unsafe {
            Esys_Finalize(&mut self.context.as_ptr());
            Tss2_TctiLdr_Finalize(&mut self.tcti.as_ptr());
        }
    }
}
