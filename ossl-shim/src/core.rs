//! What the core offers to a provider, as safe calls.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::Location;
use std::ptr;

use crate::abi::functions::{
    BIO_GETS, BIO_READ_EX, BIO_WRITE_EX, CORE_GET_LIBCTX, CORE_GET_PARAMS, CORE_NEW_ERROR,
    CORE_POP_ERROR_TO_MARK, CORE_SET_ERROR_DEBUG, CORE_SET_ERROR_MARK, CORE_VSET_ERROR, Function,
    PROVIDER_DEREGISTER_CHILD_CB, PROVIDER_NAME, PROVIDER_REGISTER_CHILD_CB, PROVIDER_UP_REF,
};
use crate::abi::{
    CoreBio, CoreContext, CoreHandle, OsslDispatch, OsslParam, PropertiesCallback,
    ProviderCallback, VaList, data_type,
};

use crate::software_keys;

/// Something that can be put into OpenSSL's error queue.
pub trait Report {
    /// Calls `raise` for each entry, the cause first.
    fn report(&self, raise: &mut dyn FnMut(Entry<'_>));
}

/// One entry of OpenSSL's error queue.
pub struct Entry<'a> {
    /// A number of [`crate::Provider::REASONS`].
    pub reason: u32,
    /// The text after the reason string. OpenSSL keeps 1,024 bytes (`ERR_MAX_DATA_SIZE`).
    pub text: &'a str,
    /// Where in the source it arose.
    pub location: &'static Location<'static>,
}

/// Which other providers are active, and what the default properties are.
#[derive(Debug, Default, Clone)]
pub struct Neighbours {
    pub providers: Vec<String>,
    pub default_properties: Option<String>,
}

/// The core of one library context, as this provider sees it. A copy may be kept for as long as the
/// provider lives.
#[derive(Clone)]
pub struct Core {
    handle: *const CoreHandle,
    calls: Calls,
}

// SAFETY: the handle is an OSSL_PROVIDER that outlives the provider context, and the core's
// functions may be called from any thread.
unsafe impl Send for Core {}
// SAFETY: as above.
unsafe impl Sync for Core {}

/// The functions taken from the core's dispatch table. Those that are missing (a core may leave
/// any out) turn their operation into nothing or an error.
#[derive(Default, Clone, Copy)]
pub(crate) struct Calls {
    get_params: Option<unsafe extern "C" fn(*const CoreHandle, *mut OsslParam) -> c_int>,
    get_libctx: Option<unsafe extern "C" fn(*const CoreHandle) -> *mut CoreContext>,
    new_error: Option<unsafe extern "C" fn(*const CoreHandle)>,
    set_error_debug:
        Option<unsafe extern "C" fn(*const CoreHandle, *const c_char, c_int, *const c_char)>,
    vset_error: Option<unsafe extern "C" fn(*const CoreHandle, u32, *const c_char, VaList)>,
    set_error_mark: Option<unsafe extern "C" fn(*const CoreHandle) -> c_int>,
    pop_error_to_mark: Option<unsafe extern "C" fn(*const CoreHandle) -> c_int>,
    register_child_cb: Option<
        unsafe extern "C" fn(
            *const CoreHandle,
            ProviderCallback,
            ProviderCallback,
            PropertiesCallback,
            *mut c_void,
        ) -> c_int,
    >,
    deregister_child_cb: Option<unsafe extern "C" fn(*const CoreHandle)>,
    provider_name: Option<unsafe extern "C" fn(*const CoreHandle) -> *const c_char>,
    provider_up_ref: Option<unsafe extern "C" fn(*const CoreHandle, c_int) -> c_int>,
    pub(crate) bio_read:
        Option<unsafe extern "C" fn(*mut CoreBio, *mut c_void, usize, *mut usize) -> c_int>,
    pub(crate) bio_write:
        Option<unsafe extern "C" fn(*mut CoreBio, *const c_void, usize, *mut usize) -> c_int>,
    pub(crate) bio_gets: Option<unsafe extern "C" fn(*mut CoreBio, *mut c_char, c_int) -> c_int>,
}

impl Core {
    /// Reads the core's dispatch table.
    ///
    /// # Safety
    /// `handle` and `table` must be what `OSSL_provider_init` was given.
    pub(crate) unsafe fn new(handle: *const CoreHandle, table: *const OsslDispatch) -> Self {
        let mut calls = Calls::default();
        let mut next = table;
        // SAFETY: the table is an array that ends with function_id 0 (OSSL_DISPATCH(3)), and its
        // entries have the signatures of the headers.
        unsafe {
            while !next.is_null() && (*next).function_id != 0 {
                calls.take(&*next);
                next = next.add(1);
            }
        }
        Self { handle, calls }
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The values of `names` in the provider's section of openssl.cnf (or set by
    /// `OSSL_PROVIDER_add_conf_parameter`). The core answers only names that are asked for.
    pub fn config(&self, names: &[&CStr]) -> Vec<Option<String>> {
        let mut values: Vec<*const c_char> = vec![ptr::null(); names.len()];
        let mut params: Vec<OsslParam> = names
            .iter()
            .zip(&mut values)
            .map(|(name, value)| OsslParam {
                key: name.as_ptr(),
                data_type: data_type::UTF8_PTR,
                data: ptr::from_mut(value).cast(),
                data_size: 0,
                return_size: data_type::UNMODIFIED,
            })
            .collect();
        params.push(OsslParam::END);
        if let Some(get_params) = self.calls.get_params {
            // SAFETY: `params` is a terminated array whose data pointers point into `values`, each
            // the size of a `char *`.
            unsafe { get_params(self.handle, params.as_mut_ptr()) };
        }
        values.into_iter().map(copied).collect()
    }

    /// Puts `error` into OpenSSL's queue; `function` is what OpenSSL had called.
    pub(crate) fn raise(&self, function: &CStr, error: &dyn Report) {
        error.report(&mut |entry| self.raise_entry(function, &entry));
    }

    fn raise_entry(&self, function: &CStr, entry: &Entry<'_>) {
        let (Some(new_error), Some(vset_error)) = (self.calls.new_error, self.calls.vset_error)
        else {
            return;
        };
        let file = c_string(entry.location.file());
        // The text is the format, with no conversions in it: a token labelled "100%s" is data.
        let format = c_string(&entry.text.replace('%', "%%"));
        // SAFETY: all pointers are C strings that live through the calls, which copy them
        // (ERR_set_debug and ERR_vset_error); the format has no conversions, so no argument is
        // read from the empty list.
        unsafe {
            new_error(self.handle);
            if let Some(set_debug) = self.calls.set_error_debug {
                let line = c_int::try_from(entry.location.line()).unwrap_or(0);
                set_debug(self.handle, file.as_ptr(), line, function.as_ptr());
            }
            vset_error(self.handle, entry.reason, format.as_ptr(), VaList::empty());
        }
    }

    /// Runs `work` and drops whatever *others* left in this thread's error queue meanwhile.
    ///
    /// PKCS#11 modules that use libcrypto leave entries behind (ykcs11 after each EC signature),
    /// and `SSL_get_error()` takes a non-empty queue for a failed handshake.
    pub(crate) fn shielded<T>(&self, work: impl FnOnce() -> T) -> T {
        let _working = Working::begun();
        let (Some(set_mark), Some(pop_to_mark)) =
            (self.calls.set_error_mark, self.calls.pop_error_to_mark)
        else {
            return work();
        };
        // SAFETY: both take only the handle. On an empty queue no mark is set and popping empties
        // it again, which is the state before (ERR_set_mark(3)).
        unsafe { set_mark(self.handle) };
        let result = work();
        // SAFETY: as above.
        unsafe { pop_to_mark(self.handle) };
        result
    }

    /// Keeps this provider for good if OpenSSL has cleaned up already; called before the core gets
    /// the last object of ours back.
    ///
    /// A program may free its keys after `OPENSSL_cleanup` (destructors of C++ globals). With the
    /// last key the core frees the provider too, and `ERR_unload_strings` takes a lock that is gone.
    pub(crate) fn outlive_cleanup(&self) {
        if let (true, Some(up_ref)) = (self.is_stopped(), self.calls.provider_up_ref) {
            // SAFETY: the handle is alive: the object that is being freed still counts.
            unsafe { up_ref(self.handle, 0) };
        }
    }

    /// Whether `OPENSSL_cleanup` has run: then there is no error queue, and an entry that was just
    /// made can't be marked.
    fn is_stopped(&self) -> bool {
        let (Some(new_error), Some(set_mark), Some(pop_to_mark)) = (
            self.calls.new_error,
            self.calls.set_error_mark,
            self.calls.pop_error_to_mark,
        ) else {
            return false;
        };
        // SAFETY: all take only the handle. The entry is popped again by the second pop, which
        // stops at the mark set first, or at the bottom of a queue that was empty.
        unsafe {
            set_mark(self.handle);
            new_error(self.handle);
            let has_queue = set_mark(self.handle) == 1;
            pop_to_mark(self.handle);
            pop_to_mark(self.handle);
            !has_queue
        }
    }

    /// Lets OpenSSL settle which provider has software keys of each of these types, before it meets our
    /// keys.
    pub fn settle_software_keys(&self, types: &[&CStr]) {
        let Some(get_libctx) = self.calls.get_libctx else {
            return;
        };
        // SAFETY: it takes only the handle; the context is that of the libcrypto which has the function.
        unsafe {
            let context = get_libctx(self.handle).cast();
            software_keys::look_for(types, context, get_libctx as *const c_void);
        }
    }

    /// The providers active beside this one. `None` where the core can't tell.
    ///
    /// Registering for child contexts is the one way a provider can see its neighbours without
    /// libcrypto: the core calls back at once for each, and the registration is taken back before
    /// this returns, so that no child context ever exists.
    pub fn neighbours(&self) -> Option<Neighbours> {
        struct Collector<'a> {
            core: &'a Core,
            found: Neighbours,
        }

        unsafe extern "C" fn provider(handle: *const CoreHandle, data: *mut c_void) -> c_int {
            // SAFETY: `data` is the collector below, alive through the registration.
            let collector = unsafe { &mut *data.cast::<Collector<'_>>() };
            if let Some(name) = collector.core.calls.provider_name {
                // SAFETY: the core hands a valid provider handle; the name is a C string it owns.
                let name = unsafe { CStr::from_ptr(name(handle)) };
                let name = name.to_string_lossy().into_owned();
                collector.found.providers.push(name);
            }
            1
        }
        unsafe extern "C" fn removed(_: *const CoreHandle, _: *mut c_void) -> c_int {
            1
        }
        unsafe extern "C" fn properties(text: *const c_char, data: *mut c_void) -> c_int {
            // SAFETY: as in `provider`; the text is a C string for the length of this call.
            unsafe {
                let collector = &mut *data.cast::<Collector<'_>>();
                let text = CStr::from_ptr(text).to_string_lossy().into_owned();
                collector.found.default_properties = Some(text);
            }
            1
        }

        let register = self.calls.register_child_cb?;
        let deregister = self.calls.deregister_child_cb?;
        self.calls.provider_name?;
        let mut collector = Collector {
            core: self,
            found: Neighbours::default(),
        };
        // SAFETY: the callbacks have the declared signatures, run only until `deregister`, and
        // don't unwind (they allocate and copy). The core holds its provider lock meanwhile; the
        // callbacks take no lock.
        let registered = unsafe {
            let data = ptr::from_mut(&mut collector).cast();
            let registered = register(self.handle, provider, removed, properties, data) == 1;
            if registered {
                deregister(self.handle);
            }
            registered
        };
        registered.then_some(collector.found)
    }
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// How many calls of hardware this thread is in: [`Core::shielded`].
pub(crate) struct Working;

impl Working {
    fn begun() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }

    /// Whether whoever calls us now is a library below us.
    pub(crate) fn is_under_way() -> bool {
        DEPTH.get() > 0
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

impl Calls {
    /// # Safety
    /// `entry` must be of the core's table.
    unsafe fn take(&mut self, entry: &OsslDispatch) {
        /// # Safety
        /// As [`Calls::take`].
        unsafe fn fill<F: Copy>(slot: &mut Option<F>, f: &Function<F>, entry: &OsslDispatch) {
            // SAFETY: the caller's promise.
            if let Some(function) = unsafe { f.from_entry(entry) } {
                *slot = Some(function);
            }
        }
        // SAFETY: the caller's promise.
        unsafe {
            fill(&mut self.get_params, &CORE_GET_PARAMS, entry);
            fill(&mut self.get_libctx, &CORE_GET_LIBCTX, entry);
            fill(&mut self.new_error, &CORE_NEW_ERROR, entry);
            fill(&mut self.set_error_debug, &CORE_SET_ERROR_DEBUG, entry);
            fill(&mut self.vset_error, &CORE_VSET_ERROR, entry);
            fill(&mut self.set_error_mark, &CORE_SET_ERROR_MARK, entry);
            fill(&mut self.pop_error_to_mark, &CORE_POP_ERROR_TO_MARK, entry);
            fill(
                &mut self.register_child_cb,
                &PROVIDER_REGISTER_CHILD_CB,
                entry,
            );
            fill(
                &mut self.deregister_child_cb,
                &PROVIDER_DEREGISTER_CHILD_CB,
                entry,
            );
            fill(&mut self.provider_name, &PROVIDER_NAME, entry);
            fill(&mut self.provider_up_ref, &PROVIDER_UP_REF, entry);
            fill(&mut self.bio_read, &BIO_READ_EX, entry);
            fill(&mut self.bio_write, &BIO_WRITE_EX, entry);
            fill(&mut self.bio_gets, &BIO_GETS, entry);
        }
    }
}

/// A copy of what the core filled in: null, or a C string that lives as long as the provider.
fn copied(value: *const c_char) -> Option<String> {
    if value.is_null() {
        return None;
    }
    // SAFETY: not null, so the core's string.
    let text = unsafe { CStr::from_ptr(value) };
    Some(text.to_string_lossy().into_owned())
}

/// A C string of `text`; NUL bytes (a token's label may hold any) become spaces.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}
