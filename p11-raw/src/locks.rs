//! Mutexes for a module that locks one twice in a thread, PKCS#11 v3.1 §3.7.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;

use cryptoki_sys::{CK_C_INITIALIZE_ARGS, CK_RV, CKF_OS_LOCKING_OK, CKR_HOST_MEMORY, CKR_OK};

/// What C_Initialize is told: threads are there, and these are the mutexes for them.
pub(crate) fn recursive() -> CK_C_INITIALIZE_ARGS {
    CK_C_INITIALIZE_ARGS {
        CreateMutex: Some(create),
        DestroyMutex: Some(destroy),
        LockMutex: Some(lock),
        UnlockMutex: Some(unlock),
        flags: CKF_OS_LOCKING_OK,
        ..CK_C_INITIALIZE_ARGS::default()
    }
}

type Mutex = UnsafeCell<libc::pthread_mutex_t>;

unsafe extern "C" fn create(place: *mut *mut c_void) -> CK_RV {
    let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
    let mutex = Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
    // SAFETY: the attributes are initialised before they are used and destroyed afterwards; the mutex is
    // on the heap, where it stays until `destroy`; `place` is the module's, for one pointer.
    unsafe {
        if libc::pthread_mutexattr_init(attributes.as_mut_ptr()) != 0 {
            return CKR_HOST_MEMORY;
        }
        libc::pthread_mutexattr_settype(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_RECURSIVE);
        libc::pthread_mutex_init(mutex.get(), attributes.as_ptr());
        libc::pthread_mutexattr_destroy(attributes.as_mut_ptr());
        *place = Box::into_raw(mutex).cast();
    }
    CKR_OK
}

unsafe extern "C" fn destroy(mutex: *mut c_void) -> CK_RV {
    // SAFETY: the module gives back what `create` made, once, and uses it no more.
    unsafe {
        let mutex = Box::from_raw(mutex.cast::<Mutex>());
        libc::pthread_mutex_destroy(mutex.get());
    }
    CKR_OK
}

unsafe extern "C" fn lock(mutex: *mut c_void) -> CK_RV {
    // SAFETY: it is one that `create` made and `destroy` has not had yet.
    unsafe { libc::pthread_mutex_lock((*mutex.cast::<Mutex>()).get()) };
    CKR_OK
}

unsafe extern "C" fn unlock(mutex: *mut c_void) -> CK_RV {
    // SAFETY: as above, and this thread has locked it.
    unsafe { libc::pthread_mutex_unlock((*mutex.cast::<Mutex>()).get()) };
    CKR_OK
}
