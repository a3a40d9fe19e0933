//! The module and its function list, PKCS#11 v3.1 §5.4.

use std::path::Path;
use std::ptr;

use crate::locks;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Info};
use cryptoki::error::{Error, Result, Rv};
use cryptoki_sys::{CK_C_INITIALIZE_ARGS, CK_FUNCTION_LIST, CK_INFO, CK_RV};

/// A PKCS#11 module.
pub struct Module {
    pub(crate) functions: CK_FUNCTION_LIST,
    /// It locks its mutexes twice in a thread.
    locks_twice: bool,
    /// Keeps the functions mapped.
    _library: cryptoki_sys::Pkcs11,
}

/// A function of the list, or the error that the module lacks it.
macro_rules! function {
    ($module:expr, $name:ident) => {
        $module
            .functions
            .$name
            .ok_or(cryptoki::error::Error::NullFunctionPointer)?
    };
}
pub(crate) use function;

impl Module {
    /// Opens the module at `path`. `C_GetFunctionList` is what every PKCS#11 version has.
    pub fn open(path: &Path) -> Result<Self> {
        // SAFETY: loading runs the library's initialisers; that is what opening a module means,
        // and which files may be modules is decided before this is called.
        let library = unsafe { cryptoki_sys::Pkcs11::new(path) }.map_err(Error::LibraryLoading)?;
        let get_list = *library
            .C_GetFunctionList
            .as_ref()
            .map_err(|_| Error::MissingSymbol("C_GetFunctionList"))?;
        let mut list = ptr::null_mut();
        // SAFETY: the function has the signature of the standard and fills in one pointer.
        rv(unsafe { get_list(&mut list) }, Function::GetFunctionList)?;
        if list.is_null() {
            return Err(Error::NullFunctionPointer);
        }
        // SAFETY: the module returned its function list, which lives as long as the module; it is
        // copied (it may be packed, so it is read unaligned).
        let functions = unsafe { list.read_unaligned() };
        // OpenSC 0.23 does when a card is pulled out in the middle of its work, and waits for itself for
        // ever (sc_unlock calls itself by way of the card's driver).
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            locks_twice: name.starts_with("opensc-pkcs11") || name.starts_with("onepin-opensc"),
            functions,
            _library: library,
        })
    }

    /// `C_Initialize`, for use by many threads with the operating system's locks.
    pub fn initialize(&self) -> Result<()> {
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        let mut arguments = match self.locks_twice {
            true => locks::recursive(),
            false => CK_C_INITIALIZE_ARGS::from(arguments),
        };
        let c_initialize = function!(self, C_Initialize);
        // SAFETY: the arguments live through the call.
        let code = unsafe { c_initialize(ptr::from_mut(&mut arguments).cast()) };
        rv(code, Function::Initialize)
    }

    /// `C_Finalize`: ends all sessions and logins of this process. Nobody may be in another call of the
    /// module meanwhile.
    pub fn finalize(&self) -> Result<()> {
        let c_finalize = function!(self, C_Finalize);
        // SAFETY: the argument is reserved, and null.
        rv(unsafe { c_finalize(ptr::null_mut()) }, Function::Finalize)
    }

    /// `C_GetInfo`.
    pub fn info(&self) -> Result<Info> {
        let mut info = CK_INFO::default();
        let c_get_info = function!(self, C_GetInfo);
        // SAFETY: the structure is written to during the call only.
        rv(unsafe { c_get_info(&mut info) }, Function::GetInfo)?;
        Info::try_from(info)
    }
}

pub(crate) fn rv(code: CK_RV, function: Function) -> Result<()> {
    Rv::from(code).into_result(function)
}
