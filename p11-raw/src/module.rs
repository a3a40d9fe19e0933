//! The function list of a module.

use std::path::Path;
use std::ptr;

use cryptoki::context::Function;
use cryptoki::error::{Error, Result, Rv};
use cryptoki_sys::{CK_FUNCTION_LIST, CK_RV};

/// A PKCS#11 module, opened a second time beside `cryptoki::context::Pkcs11`: the dynamic linker
/// hands out the same library.
pub struct Module {
    pub(crate) functions: CK_FUNCTION_LIST,
    /// Keeps the functions mapped.
    _library: cryptoki_sys::Pkcs11,
}

impl Module {
    /// Opens the module at `path`. `C_GetFunctionList` is what every PKCS#11 version has
    /// (PKCS#11 v3.1 §5.4); `C_Initialize` is left to cryptoki.
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
        // SAFETY: the module returned its function list; it is copied (it is packed on some
        // platforms, so it is read unaligned).
        let functions = unsafe { list.read_unaligned() };
        Ok(Self {
            functions,
            _library: library,
        })
    }
}

pub(crate) fn rv(code: CK_RV, function: Function) -> Result<()> {
    Rv::from(code).into_result(function)
}
