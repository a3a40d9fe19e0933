//! Which PIN is sent to a token, and which never again.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use ossl_shim::process::AppendOnly;

use super::token::Token;
use crate::backend::Login;
use crate::error::{Error, Reason, Result};
use crate::pin::{Pin, PinPolicy};

/// What is remembered of a token's PINs. It outlives forks: a child must not spend a PIN that its
/// parent knows to be wrong, and a worker that can't read the PIN file uses the kept copy.
#[derive(Default)]
pub struct PinMemory {
    /// Accepted PINs, the newest first.
    kept: AppendOnly<Pin>,
    /// Keyed hashes of refused ones.
    refused: AppendOnly<u64>,
}

impl PinMemory {
    pub fn keep(&self, pin: Pin) {
        if self
            .kept
            .iter()
            .next()
            .is_none_or(|newest| **newest != *pin)
        {
            self.kept.push(pin);
        }
    }

    fn kept(&self) -> Option<Pin> {
        self.kept.iter().next().and_then(|pin| Pin::copied(pin))
    }

    pub fn refuse(&self, pin: &Pin) {
        self.refused.push(keyed_hash(pin));
    }

    fn is_refused(&self, pin: &Pin) -> bool {
        let hash = keyed_hash(pin);
        self.refused.iter().any(|refused| *refused == hash)
    }
}

/// SipHash with a key of this process (and its children).
fn keyed_hash(pin: &Pin) -> u64 {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    KEY.get_or_init(RandomState::new).hash_one(&**pin)
}

/// A PIN with where it came from, for messages.
pub struct Sourced {
    pub value: Pin,
    pub origin: String,
}

impl Sourced {
    fn new(value: Pin, origin: impl Into<String>) -> Self {
        Self {
            value,
            origin: origin.into(),
        }
    }
}

/// The PIN to be sent: exactly one, the first that there is. A second one is never tried.
pub fn pin_for(
    token: &Token,
    policy: &PinPolicy,
    given: Option<&Pin>,
    login: &mut Login<'_, '_>,
) -> Result<Sourced> {
    let pin = match given.and_then(|pin| Pin::copied(pin)) {
        Some(pin) => Sourced::new(pin, "from the URI"),
        None => unless_given(token, policy, login)?,
    };
    if token.pins.is_refused(&pin.value) {
        return Err(Error::new(
            Reason::PinRefused,
            format!(
                "logging in to {}: the PIN {} was refused before, and this process does not \
                 send it again; correct it at its source, then restart the program if that PIN was \
                 only set on the token since",
                token.identity, pin.origin
            ),
        ));
    }
    Ok(pin)
}

/// From the source, the copy kept of it, the program's prompt, or our own.
fn unless_given(token: &Token, policy: &PinPolicy, login: &mut Login<'_, '_>) -> Result<Sourced> {
    let identity = &token.identity;
    let mut problem = None;
    if let Some(source) = &policy.source {
        match source.read() {
            Ok(pin) => return Ok(Sourced::new(pin, format!("from {source}"))),
            Err(error) => problem = Some(error),
        }
    }
    // A worker that gave up root's rights can't read root's file.
    if let Some(pin) = token.pins.kept() {
        return Ok(Sourced::new(pin, "kept from before"));
    }
    // A source that is configured and fails is for the administrator, not for the program's user.
    let asked = problem
        .is_none()
        .then(|| login.ask(&format!("{identity} (PIN)")));
    if let Some(pin) = asked.flatten() {
        return Ok(Sourced::new(pin, "from the program's prompt"));
    }
    let attempted = format!("logging in to {identity}");
    match (&policy.prompt, problem) {
        (Some(prompt), problem) => {
            if let Some(problem) = problem {
                log::warn!("{attempted}: {problem}; asking instead");
            }
            let pin = prompt.ask(&identity.to_string());
            let pin = pin.map_err(|error| error.within(&attempted))?;
            Ok(Sourced::new(pin, "from the prompt"))
        }
        (None, Some(problem)) => Err(problem.within(&attempted)),
        (None, None) => Err(Error::new(
            Reason::PinRequired,
            format!(
                "{attempted}: no PIN and nobody to ask; add pin-source = file:/path/to/pin to \
                 hwkey's section of openssl.cnf, or ?pin-source=file:/path/to/pin to the URI"
            ),
        )),
    }
}
