//! Recovery: one mechanism for everything that needs a session.

use std::thread;
use std::time::Duration;

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
    /// In C_Login: the PIN may have been looked at, so it is not tried again unless it is sure that it
    /// was not refused.
    Login {
        attempted: String,
        error: CryptokiError,
    },
    /// Something is not there that was there before, or should be. Of a card that is disturbed by
    /// another process modules may see a part only.
    Missing(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Call { attempted, error } | Failure::Login { attempted, error } => {
                failed(&attempted, &error)
            }
            Failure::Final(error) | Failure::Missing(error) => error,
        }
    }
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

    fn is_loss(&self, token: &'static Token) -> bool {
        match self {
            Self::Call { error, .. } => token.has_lost(error),
            Self::Missing(_) => true,
            // The card went away in between, and did not refuse the PIN: else it would tell now.
            Self::Login { error, .. } => {
                token.is_removable() && token.has_lost(error) && !token.has_spent_tries()
            }
            Self::Final(_) => false,
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
        Err(Failure::Final(error) | Failure::Missing(error)) => Ok(Err(error)),
        Err(Failure::Login { attempted, error }) => Ok(Err(failed(&attempted, &error))),
        Err(Failure::Call { attempted, error }) if !is_loss(&error) => {
            Ok(Err(failed(&attempted, &error)))
        }
        Err(loss) => Err(loss),
    }
}

/// How often something is tried that may work when it is begun anew. A card may be disturbed by other
/// processes again and again: each that ends resets it.
const TRIES: u32 = 2;
const TRIES_OF_CARD: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(40);

/// Runs `work` on a session of `token`, after `log_in`. If the session, the login, a handle or the
/// device turns out to be lost, everything is begun anew.
pub fn attempt<T>(
    token: &'static Token,
    mut log_in: impl FnMut() -> Attempt<()>,
    mut work: impl FnMut(&Lease) -> Attempt<T>,
) -> Result<T> {
    let mut tries = 0;
    loop {
        let failure = match once(token, &mut log_in, &mut work) {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        tries += 1;
        let most = match (&failure, token.is_removable()) {
            (_, true) => TRIES_OF_CARD,
            (Failure::Missing(_), false) => 1,
            (_, false) => TRIES,
        };
        if !failure.is_loss(token) || tries >= most {
            return Err(failure.into());
        }
        // The first time it is the card itself, most often.
        if tries > 1 {
            thread::sleep(BETWEEN_TRIES * tries);
        }
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
        Failure::Call { error, .. } | Failure::Login { error, .. } if token.has_lost(error) => {
            token.lose(epoch, error)
        }
        // A refused PIN: ykcs11 keeps the card to itself for ever when the PIN that it keeps is wrong now
        // (2.7: _ykpiv_begin_transaction returns without ending the transaction).
        Failure::Missing(_) | Failure::Login { .. } if token.is_removable() => {
            token.lose_card(epoch)
        }
        _ => Loss::none(),
    }
}
