//! Recovery: one mechanism for everything that needs a session.

use cryptoki::error::Error as CryptokiError;

use super::failure::{failed, is_loss};
use super::sessions::Lease;
use super::token::{Loss, Token};
use crate::error::{Error, Reason, Result};

/// Why an attempt failed: in a call, which a new session may mend, or for good.
pub enum Failure {
    Call {
        attempted: String,
        error: CryptokiError,
    },
    Final(Error),
}

/// The result of one attempt.
pub type Attempt<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Failure {
    /// For `map_err`: what was attempted when a call failed.
    pub fn of(attempted: impl FnOnce() -> String) -> impl FnOnce(CryptokiError) -> Self {
        |error| Self::Call {
            attempted: attempted(),
            error,
        }
    }

    /// The error, if it has one of these reasons; else it remains a failure.
    pub fn if_for(self, reasons: &[Reason]) -> Attempt<Error> {
        match self {
            Self::Final(error) if reasons.contains(&error.reason()) => Ok(error),
            other => Err(other),
        }
    }
}

/// One object of many: that it can't be read is its own matter, but a lost session is everybody's.
pub fn passing_over<T>(outcome: Attempt<T>) -> Attempt<Result<T>> {
    match outcome {
        Ok(done) => Ok(Ok(done)),
        Err(Failure::Final(error)) => Ok(Err(error)),
        Err(Failure::Call { attempted, error }) if !is_loss(&error) => {
            Ok(Err(failed(&attempted, &error)))
        }
        Err(loss) => Err(loss),
    }
}

/// Runs `work` on a session of `token`, after `log_in`. If the session, the login, a handle or the
/// device turns out to be lost, everything is begun anew, once.
pub fn attempt<T>(
    token: &'static Token,
    mut log_in: impl FnMut() -> Attempt<()>,
    mut work: impl FnMut(&Lease) -> Attempt<T>,
) -> Result<T> {
    let mut is_first = true;
    loop {
        let (attempted, error) = match once(token, &mut log_in, &mut work) {
            Ok(done) => return Ok(done),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Call { attempted, error }) => (attempted, error),
        };
        if !token.has_lost(&error) || !is_first {
            return Err(failed(&attempted, &error));
        }
        is_first = false;
    }
}

fn once<T>(
    token: &'static Token,
    log_in: &mut impl FnMut() -> Attempt<()>,
    work: &mut impl FnMut(&Lease) -> Attempt<T>,
) -> Attempt<T> {
    token.expect_same_card();
    let epoch = token.sessions().epoch();
    let logged_in = log_in().inspect_err(|failure| lose(token, epoch, failure).heal());
    logged_in?;
    let session = Lease::take(token)?;
    let outcome = work(&session);
    match &outcome {
        Ok(_) => token.is_here(),
        Err(failure) => {
            let loss = lose(token, session.epoch, failure);
            // An operation may still be active on it.
            session.discard();
            loss.heal();
        }
    }
    outcome
}

/// What belongs to `epoch` is lost, if the failure says so.
fn lose(token: &'static Token, epoch: u64, failure: &Failure) -> Loss {
    match failure {
        Failure::Call { error, .. } if token.has_lost(error) => token.lose(epoch, error),
        _ => Loss::none(),
    }
}
