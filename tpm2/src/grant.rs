//! How a command is authorised, and what it carries kept from whoever listens on the bus.

use tpm2_abi::{Hierarchy, PolicyCommand};

use crate::esys::{Authorised, Handle, Held, Kind, PASSWORD, Protection, Result, Sessions};
use crate::policy;
use crate::primary;
use crate::tpm::Tpm;

impl Protection {
    pub const NONE: Self = Self {
        command: false,
        answer: false,
    };
    pub const COMMAND: Self = Self {
        command: true,
        answer: false,
    };
    pub const ANSWER: Self = Self {
        command: false,
        answer: true,
    };
}

/// What authorises one command; gone with it.
pub struct Grant<'t> {
    sessions: Sessions,
    // In this order: the value is cleared first.
    _auth: Option<Authorised<'t>>,
    _session: Option<Held<'t>>,
}

impl<'t> Grant<'t> {
    /// For a command on `object`.
    ///
    /// Where no secret is carried, an empty authorisation value is simply given. Otherwise the value
    /// proves itself in a session, never crossing the bus, and what is secret is encrypted.
    pub fn new(
        tpm: &'t Tpm<'_>,
        object: Handle,
        auth: &[u8],
        policy: &[PolicyCommand],
        protection: Protection,
    ) -> Result<Self> {
        if auth.is_empty() && policy.is_empty() && protection == Protection::NONE {
            return Ok(Self {
                sessions: PASSWORD,
                _auth: None,
                _session: None,
            });
        }
        let kind = match policy {
            [] => Kind::Hmac,
            _ => Kind::Policy,
        };
        let session = tpm.session(kind, protection)?;
        policy::show(tpm, session.handle(), policy)?;
        let auth = match auth {
            [] => None,
            auth => Some(tpm.esys.authorise(object, auth)?),
        };
        Ok(Self {
            sessions: session.alone(),
            _auth: auth,
            _session: Some(session),
        })
    }

    pub fn sessions(&self) -> Sessions {
        self.sessions
    }
}

impl Tpm<'_> {
    /// A session whose secret nobody else knows: it is encrypted for a key of the NULL hierarchy, which
    /// needs no authorisation and is new at each start of the TPM.
    pub fn session(&self, kind: Kind, protection: Protection) -> Result<Held<'_>> {
        let salt = self.primary(Hierarchy::Null, primary::Kind::usual(false), &[])?;
        self.esys.session(salt.handle(), kind, protection)
    }
}
