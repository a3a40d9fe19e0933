//! Cards that want to be touched before they sign: they blink, and answer when somebody has.
//!
//! No PKCS#11 module tells that a key is of that kind, or that the card waits. So it is told of a card
//! that takes longer than any card computes.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::error::Error as CryptokiError;
use ossl_shim::process::with_signals_blocked;

use super::attempt::{Attempt, Failure};
use super::failure::describe;
use super::token::Token;
use crate::error::{Error, Reason};

/// Cards make a signature in less; a user is told after it.
const SLOW: Duration = Duration::from_secs(1);

/// A refusal after so long is one for want of a touch. YubiKeys wait 15 seconds.
const TIMED_OUT: Duration = Duration::from_secs(5);

/// The signature that `sign` makes on a token, which may have to be touched. `attempted` says what.
pub fn touched<T>(
    token: &Token,
    attempted: impl Fn() -> String + Sync,
    sign: impl FnOnce() -> Result<T, CryptokiError>,
) -> Attempt<T> {
    if !token.is_removable() {
        return sign().map_err(Failure::of(attempted));
    }
    let since = Instant::now();
    let outcome = telling_if_slow(&attempted, sign);
    outcome.map_err(|error| match since.elapsed() {
        short if short < TIMED_OUT => Failure::of(attempted)(error),
        long => Failure::Final(Error::new(
            Reason::NotTouched,
            format!(
                "{}: the card did not answer for {} s, then {}; touch it while it blinks, or give a \
                 service a key whose touch policy is \"never\"",
                attempted(),
                long.as_secs(),
                describe(&error)
            ),
        )),
    })
}

/// Runs `call`; another thread tells of it when it is slow.
fn telling_if_slow<T>(attempted: &(impl Fn() -> String + Sync), call: impl FnOnce() -> T) -> T {
    let (done, is_done) = channel::<()>();
    let tell = move || {
        if is_done.recv_timeout(SLOW) == Err(RecvTimeoutError::Timeout) {
            log::warn!("{}: the card waits; touch it, if it blinks", attempted());
        }
    };
    thread::scope(|scope| {
        let start = || thread::Builder::new().spawn_scoped(scope, tell);
        // Without a thread (a sandbox, a limit) nothing is told.
        let _teller = with_signals_blocked(start);
        let outcome = call();
        drop(done);
        outcome
    })
}
