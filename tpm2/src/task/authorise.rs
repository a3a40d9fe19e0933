//! Whether an authorisation value is right.

use tpm2_abi::{Object, Outcome, Source};

use crate::esys::{Kind, Protection, Result, digest};
use crate::policy;
use crate::tpm::Tpm;

/// TPM2_PolicySecret in a session that is thrown away. A key whose policy names the commands that it is
/// for can't be tried in this way, and is taken on trust.
pub fn authorise(tpm: &Tpm<'_>, object: &Object) -> Result<Outcome> {
    let is_restricted = match &object.source {
        Source::Wrapped { policy, .. } => policy::is_for_some_commands(policy),
        _ => false,
    };
    let key = tpm.key(object)?;
    if !is_restricted {
        let trial = tpm.session(Kind::Trial, Protection::NONE)?;
        let grant = key.grant(tpm, Protection::NONE)?;
        let (sessions, nothing) = (grant.sessions(), digest(&[])?);
        tpm.esys
            .policy_secret(key.handle, trial.handle(), sessions, &nothing)?;
    }
    Ok(Outcome::Done)
}
