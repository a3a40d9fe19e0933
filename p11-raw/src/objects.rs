//! Searching for objects, PKCS#11 v3.1 §5.7.

use cryptoki::context::Function;
use cryptoki::error::{Error, Result};
use cryptoki::object::Attribute;
use cryptoki_sys::{CK_ATTRIBUTE, CK_OBJECT_HANDLE, CK_ULONG};

use crate::module::{Module, function, rv};
use crate::session::Session;

/// No token has more objects that match; a module that says so is not believed.
const LIMIT: usize = 1_000_000;

/// How many objects are asked for at once: a key pair and its certificate in one call.
const AT_ONCE: usize = 16;

/// An object's handle, good for the sessions of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectHandle(pub(crate) CK_OBJECT_HANDLE);

impl Module {
    /// The objects that match `template`.
    pub fn find_objects(
        &self,
        session: &Session,
        template: &[Attribute],
    ) -> Result<Vec<ObjectHandle>> {
        let mut template: Vec<CK_ATTRIBUTE> = template.iter().map(Into::into).collect();
        let c_init = function!(self, C_FindObjectsInit);
        let c_final = function!(self, C_FindObjectsFinal);
        let count = CK_ULONG::try_from(template.len())?;
        // SAFETY: the attributes point into `template`'s owner, the caller's slice.
        let code = unsafe { c_init(session.0, template.as_mut_ptr(), count) };
        rv(code, Function::FindObjectsInit)?;
        let found = self.collect(session);
        // SAFETY: the search was begun above.
        let ended = rv(unsafe { c_final(session.0) }, Function::FindObjectsFinal);
        let found = found?;
        ended.map(|()| found)
    }

    fn collect(&self, session: &Session) -> Result<Vec<ObjectHandle>> {
        let c_find = function!(self, C_FindObjects);
        let mut found = Vec::new();
        loop {
            let mut handles = [0; AT_ONCE];
            let mut count: CK_ULONG = 0;
            // SAFETY: there is room for AT_ONCE handles.
            let code = unsafe {
                c_find(
                    session.0,
                    handles.as_mut_ptr(),
                    AT_ONCE as CK_ULONG,
                    &mut count,
                )
            };
            rv(code, Function::FindObjects)?;
            let count = usize::try_from(count)?;
            let handles = handles.get(..count).ok_or(Error::InvalidValue)?;
            found.extend(handles.iter().copied().map(ObjectHandle));
            if count < AT_ONCE {
                return Ok(found);
            }
            if found.len() > LIMIT {
                return Err(Error::InvalidValue);
            }
        }
    }
}
