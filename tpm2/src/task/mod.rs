//! One file per task.

mod authorise;
mod create;
mod decrypt;
mod derive;
mod describe;
mod list;
pub mod lockout;
mod nv;
mod random;
mod sign;
mod verify;

use tpm2_abi::{Object, Outcome, Task};

use crate::esys::Result;
use crate::tpm::Tpm;

pub fn perform(tpm: &Tpm<'_>, task: &Task) -> Result<Outcome> {
    match task {
        Task::Describe => describe::describe(tpm).map(Outcome::Described),
        Task::Lockout => lockout::lockout(tpm.esys).map(Outcome::Lockout),
        Task::Inspect { object } => Ok(Outcome::Inspected {
            area: tpm.key(object)?.area.as_ref().clone(),
            tpm: describe::describe(tpm)?,
        }),
        Task::Authorise { object } => authorise::authorise(tpm, object),
        Task::Sign {
            object,
            scheme,
            input,
        } => sign::sign(tpm, object, *scheme, input),
        Task::Verify {
            object,
            scheme,
            digest,
            signature,
        } => verify::verify(tpm, object, *scheme, digest, signature),
        Task::Decrypt {
            object,
            scheme,
            input,
        } => decrypt::decrypt(tpm, object, scheme, input),
        Task::Derive { object, x, y } => derive::derive(tpm, object, x, y),
        Task::Create {
            parent,
            parent_auth,
            template,
            auth,
        } => create::create(tpm, *parent, parent_auth, *template, auth),
        Task::ReadNv { index, auth } => nv::read(tpm, *index, auth.as_deref()).map(Outcome::Bytes),
        Task::List => list::list(tpm).map(Outcome::Listing),
        Task::Random { bytes } => random::random(tpm, *bytes),
    }
}

/// The key that a task is for.
pub fn object(task: &Task) -> Option<&Object> {
    match task {
        Task::Inspect { object }
        | Task::Authorise { object }
        | Task::Sign { object, .. }
        | Task::Verify { object, .. }
        | Task::Decrypt { object, .. }
        | Task::Derive { object, .. } => Some(object),
        _ => None,
    }
}

/// Whether an authorisation value is sent, which the TPM may count if it is wrong.
pub fn has_secret(task: &Task) -> bool {
    match task {
        Task::Create { parent_auth, .. } => !parent_auth.is_empty(),
        Task::ReadNv { auth, .. } => auth.is_some(),
        task => object(task).is_some_and(|it| !it.auth.is_empty() || !it.parent_auth.is_empty()),
    }
}
