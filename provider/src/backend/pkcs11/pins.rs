//! Which PIN is sent to a token, and which never again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::time::Instant;

use ossl_shim::process::{AppendOnly, FamilySet, Secret};

use super::token::Token;
use crate::backend::Login;
use crate::error::{Error, Reason, Result};
use crate::pin::{Pin, PinPolicy};

/// The PINs that a token has accepted. They outlive forks: a worker that can't read the PIN file
/// uses the kept copy.
#[derive(Default)]
pub struct KeptPins(AppendOnly<Pin>);

impl KeptPins {
    pub fn keep(&self, pin: Pin) {
        let newest = self.0.iter().next();
        if newest.is_none_or(|newest| **newest != *pin) {
            self.0.push(pin);
        }
    }

    fn newest(&self) -> Option<Pin> {
        self.0.iter().next().and_then(|pin| Pin::copied(pin))
    }
}

/// What is remembered of a PIN for a token: a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinMark(NonZeroU64);

impl PinMark {
    /// SipHash behind a key of this process and its children. A PIN has few digits: who has the key can
    /// find it. So the key is where a kept PIN would be, out of core dumps.
    pub fn of(token: &Token, pin: &Pin) -> Self {
        static KEY: OnceLock<Option<Secret>> = OnceLock::new();
        let key = KEY.get_or_init(|| {
            Secret::filled(|room| {
                let key = room.get_mut(..KEY_SIZE)?;
                getrandom::fill(key).ok().map(|()| KEY_SIZE)
            })
        });
        let mut hasher = DefaultHasher::new();
        key.as_deref().hash(&mut hasher);
        let identity = &token.identity;
        (identity.to_string(), &identity.model, &**pin).hash(&mut hasher);
        Self(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN))
    }
}

/// As many bytes as keep anybody from trying them all.
const KEY_SIZE: usize = 32;

/// The marks of refused PINs. A child must not spend a PIN that
/// its parent, or a sibling, knows to be wrong.
static REFUSED: FamilySet = FamilySet::new();

/// The token refused the PIN: it gets it no more from this process.
pub fn refuse(token: &Token, pin: &Pin) {
    REFUSED.insert(PinMark::of(token, pin).0);
}

fn is_refused(token: &Token, pin: &Pin) -> bool {
    REFUSED.contains(PinMark::of(token, pin).0)
}

/// An error if the token refused this PIN before.
pub fn unless_refused(token: &Token, pin: &Sourced) -> Result<()> {
    if !is_refused(token, &pin.value) {
        return Ok(());
    }
    Err(Error::new(
        Reason::PinRefused,
        format!(
            "logging in to {}: the PIN {} was refused before, and this process does not send it \
             again; correct it at its source, then restart the program if that PIN was only set on \
             the token since",
            token.identity, pin.origin
        ),
    ))
}

/// A PIN with where it came from, for messages.
pub struct Sourced {
    pub value: Pin,
    pub origin: String,
}

impl Sourced {
    fn new(value: Pin, origin: impl Into<String>) -> Self {
        let mut origin = origin.into();
        // Seldom meant, and not to be seen in an editor.
        if value.last().is_some_and(u8::is_ascii_whitespace) {
            origin.push_str(" (which ends in a blank or an empty line)");
        }
        Self { value, origin }
    }
}

/// The PIN to be sent: exactly one, the first that there is. A second one is never tried. The caller
/// has waited `since` for its turn.
pub fn pin_for(
    token: &Token,
    policy: &PinPolicy,
    given: Option<&Pin>,
    login: &mut Login<'_, '_>,
    since: Instant,
) -> Result<Sourced> {
    match given.and_then(|pin| Pin::copied(pin)) {
        Some(pin) => Ok(Sourced::new(pin, "from the URI")),
        None => unless_given(token, policy, login, since),
    }
}

/// From the source, the copy kept of it, the program's prompt, or our own.
fn unless_given(
    token: &Token,
    policy: &PinPolicy,
    login: &mut Login<'_, '_>,
    since: Instant,
) -> Result<Sourced> {
    let identity = &token.identity;
    let mut problem = None;
    if let Some(source) = &policy.source {
        match source.read() {
            Ok(pin) => return Ok(Sourced::new(pin, format!("from {source}"))),
            Err(error) => problem = Some(error),
        }
    }
    // A worker that gave up root's rights can't read root's file.
    let good = || {
        let kept = token.pins.newest();
        kept.filter(|pin| !is_refused(token, pin))
    };
    if let Some(pin) = good() {
        return Ok(Sourced::new(pin, KEPT));
    }
    // A source that is configured and fails is for the administrator, not for the program's user.
    let asked = problem
        .is_none()
        .then(|| login.ask(&format!("{identity} (PIN)")));
    if let Some(pin) = asked.flatten() {
        return Ok(Sourced::new(pin, "from the program's prompt"));
    }
    let attempted = format!("logging in to {identity}");
    if let Some(prompt) = policy.prompt.as_ref().filter(|_| login.prompts()) {
        if let Some(problem) = problem {
            log::warn!("{attempted}: {problem}; asking instead");
        }
        let pin = prompt.ask(&identity.to_string(), since, good);
        let pin = pin.map_err(|error| error.within(&attempted))?;
        return Ok(Sourced::new(pin, "from the prompt"));
    }
    if let Some(problem) = problem {
        return Err(problem.within(&attempted));
    }
    // Refused since: that is the reason then.
    let kept = token.pins.newest().map(|pin| Sourced::new(pin, KEPT));
    kept.ok_or_else(|| {
        Error::new(
            Reason::PinRequired,
            format!(
                "{attempted}: no PIN and nobody to ask; add pin-source = file:/path/to/pin to \
                 hwkey's section of openssl.cnf, or ?pin-source=file:/path/to/pin to the URI"
            ),
        )
    })
}

/// Where a kept PIN comes from.
const KEPT: &str = "kept from before";
