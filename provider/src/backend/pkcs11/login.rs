//! Logging in to a token: once for all threads, and no PIN is ever spent for nothing.

use std::sync::PoisonError;
use std::time::Instant;

use cryptoki::context::Function;
use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::slot::TokenInfo;
use p11_raw::User;

use super::attempt::{Attempt, Failure};
use super::failure::{code, describe, failed};
use super::sessions::{Lease, LoginState};
use super::token::Token;
use crate::backend::Login;
use crate::backend::login_lock::LoginLock;
use crate::backend::pins::{PinHolder, PinMark, Sourced, pin_for, refuse, unless_refused};
use crate::error::{Error, Reason, Result};
use crate::pin::{Pin, PinPolicy};

/// Makes sure that the user is logged in to `token`. `given` is the URI's own pin-value.
pub fn log_in(
    token: &'static Token,
    policy: &PinPolicy,
    given: Option<&Pin>,
    login: &mut Login<'_, '_>,
) -> Attempt<()> {
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
    let info = token.info()?;
    let by_pin_pad = info.protected_authentication_path();
    let (session, state) = match info.login_required() {
        false => (Lease::take(token)?, LoginState::NotNeeded),
        true if by_pin_pad => {
            log::warn!("{} waits for its PIN on its own keypad", token.identity);
            let session = Lease::take(token)?;
            c_login(token, &session, User::User, None)?;
            (session, LoginState::ByPinPad)
        }
        true => by_pin(token, policy, |policy| {
            pin_for(token, policy, given, login, since)
        })?,
    };
    let epoch = session.epoch;
    session.become_anchor();
    sessions.set_login(epoch, state);
    Ok(())
}

/// One login with the PIN from `source`.
fn by_pin(
    token: &'static Token,
    policy: &PinPolicy,
    source: impl FnOnce(&PinPolicy) -> Result<Sourced>,
) -> Attempt<(Lease, LoginState)> {
    // Nobody is asked for a PIN that can't be sent.
    check_state(token, policy)?;
    let pin = source(policy)?;
    unless_refused(token, &pin)?;
    let _lock = lock(token);
    token.bring_up_to_date();
    check_state(token, policy)?;
    // By another process of the family meanwhile.
    unless_refused(token, &pin)?;
    let session = Lease::take(token)?;
    let state = match c_login(token, &session, User::User, Some(&pin))? {
        true => LoginState::ByPin(Some(PinMark::of(token, &pin.value))),
        false => LoginState::ByPin(None),
    };
    if policy.keep && state != LoginState::ByPin(None) {
        token.pins.keep(pin.value);
    }
    Ok((session, state))
}

/// Between processes: for cards only.
fn lock(token: &Token) -> Option<LoginLock> {
    let is_card = token.is_removable();
    is_card.then(|| LoginLock::take("cards", &token.attempted()))
}

/// The PIN for the login that a key wants for each signature; `None` if the token asks for it itself.
/// OpenSSL offers no prompt there.
pub fn pin_for_key(token: &Token, policy: &PinPolicy) -> Result<Option<Sourced>> {
    if token.sessions().login() == LoginState::ByPinPad {
        return Ok(None);
    }
    let nobody = &mut Login::unattended();
    pin_for(token, policy, None, nobody, Instant::now()).map(Some)
}

/// The login that a key wants between the start and the end of each signature
/// (CKA_ALWAYS_AUTHENTICATE).
pub fn log_in_for_key(
    token: &'static Token,
    session: &Lease,
    policy: &PinPolicy,
    pin: Option<&Sourced>,
) -> Attempt<()> {
    let Some(pin) = pin else {
        return c_login(token, session, User::ContextSpecific, None).map(drop);
    };
    let _lock = lock(token);
    unless_refused(token, pin)?;
    let is_good = match token.sessions().login() {
        LoginState::ByPin(Some(accepted)) => accepted == PinMark::of(token, &pin.value),
        _ => true,
    };
    let info = token.info_where_it_was();
    let has_tries = info.is_some_and(|info| !info.user_pin_locked() && !spends_last(&info, policy));
    // It was changed at its source, or others have spent tries: the login of the user tells whether it is
    // good, under all precautions.
    if !is_good || !has_tries {
        return Err(Failure::Call {
            attempted: format!("logging in to {}", token.identity),
            error: logged_out(Function::Login),
        });
    }
    c_login(token, session, User::ContextSpecific, Some(pin)).map(drop)
}

/// The flags of the token, before a PIN is spent.
fn check_state(token: &'static Token, policy: &PinPolicy) -> Result<()> {
    let mut info = token.info()?;
    if spends_last(&info, policy) || info.user_pin_locked() {
        // OpenSC goes on saying so after a good login.
        token.restart_if_alone();
        info = token.info()?;
    }
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
    if spends_last(&info, policy) {
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

fn spends_last(info: &TokenInfo, policy: &PinPolicy) -> bool {
    info.user_pin_final_try() && !policy.spend_final_try
}

/// `Ok(false)` if somebody else in this process had logged in, so that the PIN was not looked at.
fn c_login(
    token: &'static Token,
    session: &Lease,
    user: User,
    pin: Option<&Sourced>,
) -> Attempt<bool> {
    let raw = token.module.raw();
    let outcome = raw.login(session, user, pin.map(|pin| &*pin.value));
    let Err(error) = outcome else {
        log::debug!("logged in to {}", token.identity);
        return Ok(true);
    };
    if code(&error) == Some(RvError::UserAlreadyLoggedIn) {
        return Ok(false);
    }
    if let Some(pin) = pin.filter(|_| is_refusal(&error)) {
        refuse(token, &pin.value);
    }
    let tries = tries_left(token).unwrap_or_default();
    let origin = pin.map_or("of its own PIN pad", |pin| pin.origin.as_str());
    let attempted = format!(
        "logging in to {} with the PIN {origin}{tries}",
        token.identity
    );
    // Of a login these say that the PIN can't be one: ykcs11's and OpenSC's answers to a short one.
    let unlikely = [
        RvError::ArgumentsBad,
        RvError::DataInvalid,
        RvError::DataLenRange,
    ];
    if code(&error).is_some_and(|code| unlikely.contains(&code)) {
        return Err(Failure::Final(Error::new(
            Reason::PinRefused,
            format!(
                "{attempted}: {}; the token does not take a PIN of this length or these characters (PIV \
                 cards: 6 to 8 digits)",
                describe(&error)
            ),
        )));
    }
    if pin.is_none() {
        // Nobody is asked twice at a PIN pad.
        return Err(Failure::Final(failed(&attempted, &error)));
    }
    // Sent again it might cost another try, unless it is sure that the token has not seen it.
    match code(&error) {
        Some(
            RvError::CryptokiNotInitialized
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed,
        ) => Err(Failure::Call { attempted, error }),
        _ => Err(Failure::Login { attempted, error }),
    }
}

/// Whether the token looked at the PIN, or would refuse it again.
fn is_refusal(error: &CryptokiError) -> bool {
    matches!(
        code(error),
        Some(
            RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::ArgumentsBad
                | RvError::DataInvalid
                | RvError::DataLenRange
        )
    )
}

/// What the token tells of its tries after a refusal.
fn tries_left(token: &'static Token) -> Option<&'static str> {
    let info = token.info_where_it_was()?;
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
            error: logged_out(Function::FindObjects),
        }),
        _ => Ok(()),
    }
}

fn logged_out(function: Function) -> CryptokiError {
    CryptokiError::Pkcs11(RvError::UserNotLoggedIn, function)
}
