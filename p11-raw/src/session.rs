//! Sessions and logins, PKCS#11 v3.1 §5.6.

use std::ptr;

use cryptoki::context::Function;
use cryptoki::error::Result;
use cryptoki_sys::{
    CK_SESSION_HANDLE, CK_SESSION_INFO, CK_ULONG, CKF_SERIAL_SESSION, CKS_RO_USER_FUNCTIONS,
    CKS_RW_USER_FUNCTIONS, CKU_CONTEXT_SPECIFIC, CKU_USER,
};

use crate::module::{Module, function, rv};
use crate::slots::SlotId;

/// An open session. It is closed by [`Module::close_session`] only: a forked child must not close
/// what its parent opened. It can't be copied, since one thread at a time may use it.
#[derive(Debug)]
pub struct Session(pub(crate) CK_SESSION_HANDLE);

/// Who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    User,
    /// For one operation with a key that has CKA_ALWAYS_AUTHENTICATE.
    ContextSpecific,
}

impl Module {
    /// A read-only session.
    pub fn open_session(&self, slot: SlotId) -> Result<Session> {
        let mut handle = 0;
        let c_open_session = function!(self, C_OpenSession);
        // SAFETY: no callback; the handle is written to during the call only.
        let code = unsafe {
            c_open_session(
                slot.0,
                CKF_SERIAL_SESSION,
                ptr::null_mut(),
                None,
                &mut handle,
            )
        };
        rv(code, Function::OpenSession)?;
        Ok(Session(handle))
    }

    pub fn close_session(&self, session: Session) -> Result<()> {
        let c_close_session = function!(self, C_CloseSession);
        // SAFETY: a handle is a number; the module tells if it is none of its own.
        rv(
            unsafe { c_close_session(session.0) },
            Function::CloseSession,
        )
    }

    /// Whether the user is logged in, as the token sees it.
    pub fn is_logged_in(&self, session: &Session) -> Result<bool> {
        let mut info = CK_SESSION_INFO::default();
        let c_get_session_info = function!(self, C_GetSessionInfo);
        // SAFETY: the structure is written to during the call only.
        let code = unsafe { c_get_session_info(session.0, &mut info) };
        rv(code, Function::GetSessionInfo)?;
        let state = info.state;
        Ok([CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS].contains(&state))
    }

    /// `C_Login`; without a PIN the token asks for it itself (a protected authentication path).
    pub fn login(&self, session: &Session, user: User, pin: Option<&[u8]>) -> Result<()> {
        let user = match user {
            User::User => CKU_USER,
            User::ContextSpecific => CKU_CONTEXT_SPECIFIC,
        };
        let (start, length) = match pin {
            Some(pin) => (pin.as_ptr().cast_mut(), CK_ULONG::try_from(pin.len())?),
            None => (ptr::null_mut(), 0),
        };
        let c_login = function!(self, C_Login);
        // SAFETY: the PIN has the length given; C_Login does not write to it although its type
        // says so.
        rv(
            unsafe { c_login(session.0, user, start, length) },
            Function::Login,
        )
    }
}
