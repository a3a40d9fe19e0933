//! Logging in to a token: once for all threads, and no PIN is ever spent for nothing.

use std::sync::PoisonError;
use std::time::Instant;

use cryptoki::context::Function;
use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::slot::TokenInfo;
use p11_raw::User;

use super::attempt::{Attempt, Failure};
use super::failure::{code, failed};
use super::pins::{Sourced, pin_for, refuse};
use super::sessions::{Lease, LoginState};
use super::token::Token;
use crate::backend::Login;
use crate::error::{Error, Reason, Result};
use crate::pin::{Pin, PinPolicy};

/// Makes sure that the user is logged in to `token`. `given` is the URI's own pin-value.
pub fn log_in(
    token: &'static Token,
    policy: &PinPolicy,
    given: Option<&Pin>,
    login: &mut Login<'_, '_>,
) -> Result<()> {
    let sessions = token.sessions();
    if sessions.login() != LoginState::LoggedOut {
        return Ok(());
    }
    let since = Instant::now();
    let turn = sessions.login_turn.lock();
    let _turn = turn.unwrap_or_else(PoisonError::into_inner);
    if sessions.login() != LoginState::LoggedOut {
        return Ok(());
    }
    let session = Lease::take(token)?;
    let epoch = session.epoch;
    let info = token
        .info()
        .inspect_err(|_| sessions.lose(token.module, epoch, true))?;
    let state = match (info.login_required(), info.protected_authentication_path()) {
        (false, _) => LoginState::NotNeeded,
        (true, true) => LoginState::ByPinPad,
        (true, false) => LoginState::ByPin,
    };
    if state == LoginState::ByPinPad {
        log::warn!("{} waits for its PIN on its own keypad", token.identity);
        c_login(token, &session, User::User, None)?;
    }
    if state == LoginState::ByPin {
        check_state(token, &info, policy)?;
        let pin = pin_for(token, policy, given, login, since)?;
        let accepted = c_login(token, &session, User::User, Some(&pin))?;
        if policy.keep && accepted {
            token.pins.keep(pin.value);
        }
    }
    session.become_anchor();
    sessions.set_login(epoch, state);
    Ok(())
}

/// The login that a key wants between the start and the end of each signature
/// (CKA_ALWAYS_AUTHENTICATE). OpenSSL offers no prompt there.
pub fn log_in_for_key(token: &'static Token, session: &Lease, policy: &PinPolicy) -> Result<()> {
    let pin = match token.sessions().login() {
        LoginState::ByPinPad => None,
        _ => {
            let nobody = &mut Login::unattended();
            Some(pin_for(token, policy, None, nobody, Instant::now())?)
        }
    };
    c_login(token, session, User::ContextSpecific, pin.as_ref()).map(drop)
}

/// The flags of the token, before a PIN is spent.
fn check_state(token: &Token, info: &TokenInfo, policy: &PinPolicy) -> Result<()> {
    let locked = |problem: &str, cure: &str| {
        let identity = &token.identity;
        Err(Error::new(
            Reason::PinLocked,
            format!("logging in to {identity}: {problem}; {cure}"),
        ))
    };
    if info.user_pin_locked() {
        return locked(
            "the PIN is locked (CKF_USER_PIN_LOCKED)",
            "unblock it with the PUK or the security officer's PIN",
        );
    }
    if info.user_pin_final_try() && !policy.spend_final_try {
        return locked(
            "only the last try of the PIN is left (CKF_USER_PIN_FINAL_TRY)",
            "log in once with the token's own tool to be sure of the PIN, or set pin-final-try = \
             allow in hwkey's section of openssl.cnf",
        );
    }
    if info.user_pin_to_be_changed() {
        log::warn!(
            "{}: the PIN is to be changed (CKF_USER_PIN_TO_BE_CHANGED); pkcs11-tool --change-pin \
             does it",
            token.identity
        );
    }
    Ok(())
}

/// `Ok(false)` if somebody else in this process had logged in, so that the PIN was not looked at.
fn c_login(
    token: &'static Token,
    session: &Lease,
    user: User,
    pin: Option<&Sourced>,
) -> Result<bool> {
    let raw = token.module.raw();
    let outcome = raw.login(session, user, pin.map(|pin| &*pin.value));
    let Err(error) = outcome else {
        log::debug!("logged in to {}", token.identity);
        return Ok(true);
    };
    match code(&error) {
        Some(RvError::UserAlreadyLoggedIn) => return Ok(false),
        Some(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange) => {
            if let Some(pin) = pin {
                refuse(token, &pin.value);
            }
        }
        _ => {}
    }
    let tries = tries_left(token).unwrap_or_default();
    let origin = pin.map_or("of its own PIN pad", |pin| pin.origin.as_str());
    let attempted = format!(
        "logging in to {} with the PIN {origin}{tries}",
        token.identity
    );
    Err(failed(&attempted, &error))
}

/// What the token tells of its tries after a refusal.
fn tries_left(token: &'static Token) -> Option<&'static str> {
    let info = token.info().ok()?;
    if info.user_pin_locked() {
        Some(" (the PIN is locked now)")
    } else if info.user_pin_final_try() {
        Some(" (one try is left)")
    } else if info.user_pin_count_low() {
        Some(" (few tries are left)")
    } else {
        None
    }
}

/// A token hides private keys from a session whose login somebody else has ended: that is a loss.
pub fn still_logged_in(token: &Token, session: &Lease) -> Attempt<()> {
    let by_pin = token.sessions().login().by_pin();
    match token.module.raw().is_logged_in(session) {
        Ok(false) if by_pin => Err(Failure::Call {
            attempted: format!("searching {}", token.identity),
            error: CryptokiError::Pkcs11(RvError::UserNotLoggedIn, Function::FindObjects),
        }),
        _ => Ok(()),
    }
}
