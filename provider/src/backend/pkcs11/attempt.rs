//! Recovery: one mechanism for everything that needs a session.

use cryptoki::error::Error as CryptokiError;

use super::failure::{failed, is_loss};
use super::sessions::Lease;
use super::token::Token;
use crate::error::{Error, Result};

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
    mut log_in: impl FnMut() -> Result<()>,
    mut work: impl FnMut(&Lease) -> Attempt<T>,
) -> Result<T> {
    let mut is_first = true;
    loop {
        log_in()?;
        let session = Lease::take(token)?;
        let (attempted, error) = match work(&session) {
            Ok(done) => return Ok(done),
            Err(Failure::Call { attempted, error }) => (attempted, error),
            Err(Failure::Final(error)) => {
                session.discard();
                return Err(error);
            }
        };
        let lost = is_loss(&error);
        match lost {
            true => token.lose(session.epoch, &error),
            // An operation may still be active on it.
            false => session.discard(),
        }
        if !lost || !is_first {
            return Err(failed(&attempted, &error));
        }
        is_first = false;
    }
}
