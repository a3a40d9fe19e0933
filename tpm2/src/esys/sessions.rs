//! Sessions and authorisation values. TPM 2.0 Library part 1, chapter 19; part 3, chapter 11.

use std::ptr;

use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::tss::{
    TPM2_ALG_AES, TPM2_ALG_CFB, TPM2_ALG_SHA256, TPM2_SE_HMAC, TPM2_SE_POLICY, TPM2_SE_TRIAL,
};
use tss_esapi::tss2_esys::{
    ESYS_TR, ESYS_TR_NONE, ESYS_TR_PASSWORD, Esys_StartAuthSession, Esys_TR_SetAuth,
    Esys_TRSess_SetAttributes, TPM2B_AUTH, TPMA_SESSION, TPMT_SYM_DEF, TPMU_SYM_KEY_BITS,
    TPMU_SYM_MODE,
};

use super::buffers::Buffer;
use super::{Esys, Handle, Held, Result, check, software_keys};

/// The sessions of a command.
pub type Sessions = [ESYS_TR; 3];

/// Of a command that needs none.
pub const NO_SESSIONS: Sessions = [ESYS_TR_NONE; 3];

/// The authorisation value as it is: for empty ones.
pub const PASSWORD: Sessions = [ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE];

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Hmac,
    Policy,
    /// A policy that only its digest is wanted of.
    Trial,
}

/// What is encrypted on the way: the first parameter of the command, of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Protection {
    pub command: bool,
    pub answer: bool,
}

impl Held<'_> {
    /// A session alone.
    pub fn alone(&self) -> Sessions {
        [self.handle().0, ESYS_TR_NONE, ESYS_TR_NONE]
    }
}

impl Esys {
    /// TPM2_StartAuthSession, with a secret that only the TPM reads (`salt` is one of its keys), so that
    /// what is encrypted stays unknown to whoever listens.
    pub fn session(&self, salt: Handle, kind: Kind, protection: Protection) -> Result<Held<'_>> {
        let symmetric = TPMT_SYM_DEF {
            algorithm: TPM2_ALG_AES,
            keyBits: TPMU_SYM_KEY_BITS { aes: 128 },
            mode: TPMU_SYM_MODE { aes: TPM2_ALG_CFB },
        };
        let none = ESYS_TR_NONE;
        let mut session = none;
        software_keys::prepare();
        // SAFETY: a structure that is read during the call, no nonce (ESYS makes one), and a place for
        // one number.
        check("TPM2_StartAuthSession", unsafe {
            Esys_StartAuthSession(
                self.context(),
                salt.0,
                none,
                none,
                none,
                none,
                ptr::null(),
                kind.number(),
                &symmetric,
                TPM2_ALG_SHA256,
                &mut session,
            )
        })?;
        let session = Held::in_slot(self, session);
        let attributes: TPMA_SESSION = SessionAttributesBuilder::new()
            .with_continue_session(true)
            .with_decrypt(protection.command)
            .with_encrypt(protection.answer)
            .build()
            .0
            .into();
        // SAFETY: numbers only.
        check("Esys_TRSess_SetAttributes", unsafe {
            Esys_TRSess_SetAttributes(self.context(), session.handle().0, attributes, 0xff)
        })?;
        Ok(session)
    }

    /// Lets ESYS know the authorisation value of `object` as long as the answer lives.
    pub fn authorise<'e>(&'e self, object: Handle, auth: &[u8]) -> Result<Authorised<'e>> {
        let mut value = TPM2B_AUTH::from_bytes(auth)?;
        let authorised = Authorised { esys: self, object };
        // SAFETY: a structure that is copied during the call.
        let code = unsafe { Esys_TR_SetAuth(self.context(), object.0, &value) };
        value.clear();
        check("Esys_TR_SetAuth", code)?;
        Ok(authorised)
    }
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Self::Hmac => TPM2_SE_HMAC,
            Self::Policy => TPM2_SE_POLICY,
            Self::Trial => TPM2_SE_TRIAL,
        }
    }
}

/// While this lives, ESYS knows an authorisation value.
pub struct Authorised<'e> {
    esys: &'e Esys,
    object: Handle,
}

impl Drop for Authorised<'_> {
    fn drop(&mut self) {
        let zeros = TPM2B_AUTH {
            size: 64,
            buffer: [0; 64],
        };
        let (context, object) = (self.esys.context(), self.object.0);
        // SAFETY: a structure that is copied during the call: over the value, which a mere null would
        // leave in memory.
        unsafe {
            Esys_TR_SetAuth(context, object, &zeros);
            Esys_TR_SetAuth(context, object, ptr::null());
        }
    }
}
