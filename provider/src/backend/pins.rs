//! Which PIN is sent to the hardware, and which never again. An authorisation value of a TPM's object is
//! one, too.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::time::Instant;

use ossl_shim::process::{AppendOnly, FamilySet, Secret};

use super::Login;
use crate::error::{Error, Reason, Result};
use crate::pin::{Pin, PinPolicy};

/// What a PIN is for.
pub trait PinHolder {
    /// What tells it from all others: a PIN that one refuses may be another's.
    fn mark(&self, hasher: &mut DefaultHasher);

    /// The PINs that it has accepted.
    fn kept(&self) -> &KeptPins;

    /// Its name in questions.
    fn title(&self) -> String;

    /// What the PIN is sent for, in messages: `logging in to token "gateway"`.
    fn attempted(&self) -> String;

    /// What the PIN is called.
    fn noun(&self) -> &'static str {
        "PIN"
    }
}

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
    pub fn of(holder: &impl PinHolder, pin: &Pin) -> Self {
        static KEY: OnceLock<Option<Secret>> = OnceLock::new();
        let key = KEY.get_or_init(|| {
            Secret::filled(|room| {
                let key = room.get_mut(..KEY_SIZE)?;
                getrandom::fill(key).ok().map(|()| KEY_SIZE)
            })
        });
        let mut hasher = DefaultHasher::new();
        key.as_deref().hash(&mut hasher);
        holder.mark(&mut hasher);
        (**pin).hash(&mut hasher);
        Self(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN))
    }

    /// As a number that is never 0.
    pub fn number(self) -> u64 {
        self.0.get()
    }
}

/// As many bytes as keep anybody from trying them all.
const KEY_SIZE: usize = 32;

/// The marks of refused PINs. A child must not spend a PIN that
/// its parent, or a sibling, knows to be wrong.
static REFUSED: FamilySet = FamilySet::new();

/// The PIN was refused: it is sent no more by this process.
pub fn refuse(holder: &impl PinHolder, pin: &Pin) {
    REFUSED.insert(PinMark::of(holder, pin).0);
}

/// Whether this PIN was refused before.
pub fn is_refused(holder: &impl PinHolder, pin: &Pin) -> bool {
    REFUSED.contains(PinMark::of(holder, pin).0)
}

/// An error if this PIN was refused before.
pub fn unless_refused(holder: &impl PinHolder, pin: &Sourced) -> Result<()> {
    if !is_refused(holder, &pin.value) {
        return Ok(());
    }
    let (attempted, noun) = (holder.attempted(), holder.noun());
    Err(Error::new(
        Reason::PinRefused,
        format!(
            "{attempted}: the {noun} {} was refused before, and this process does not send it again; \
             correct it at its source, then restart the program if that {noun} was only set since",
            pin.origin
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
    holder: &impl PinHolder,
    policy: &PinPolicy,
    given: Option<&Pin>,
    login: &mut Login<'_, '_>,
    since: Instant,
) -> Result<Sourced> {
    match given.and_then(|pin| Pin::copied(pin)) {
        Some(pin) => Ok(Sourced::new(pin, "from the URI")),
        None => unless_given(holder, policy, login, since),
    }
}

/// From the source, the copy kept of it, the program's prompt, or our own.
fn unless_given(
    holder: &impl PinHolder,
    policy: &PinPolicy,
    login: &mut Login<'_, '_>,
    since: Instant,
) -> Result<Sourced> {
    let mut problem = None;
    if let Some(source) = &policy.source {
        match source.read() {
            Ok(pin) => return Ok(Sourced::new(pin, format!("from {source}"))),
            Err(error) => problem = Some(error),
        }
    }
    // A worker that gave up root's rights can't read root's file.
    let good = || {
        let kept = holder.kept().newest();
        kept.filter(|pin| !is_refused(holder, pin))
    };
    if let Some(pin) = good() {
        return Ok(Sourced::new(pin, KEPT));
    }
    // A source that is configured and fails is for the administrator, not for the program's user.
    let asked = problem
        .is_none()
        .then(|| login.ask(&format!("{} ({})", holder.title(), holder.noun())));
    if let Some(pin) = asked.flatten() {
        return Ok(Sourced::new(pin, "from the program's prompt"));
    }
    if let Some(prompt) = policy.prompt.as_ref().filter(|_| login.prompts()) {
        let attempted = holder.attempted();
        if let Some(problem) = problem {
            log::warn!("{attempted}: {problem}; asking instead");
        }
        let pin = prompt.ask(&holder.title(), since, good);
        let pin = pin.map_err(|error| error.within(&attempted))?;
        return Ok(Sourced::new(pin, "from the prompt"));
    }
    if let Some(problem) = problem {
        return Err(problem.within(&holder.attempted()));
    }
    // Refused since: that is the reason then.
    let kept = holder.kept().newest().map(|pin| Sourced::new(pin, KEPT));
    kept.ok_or_else(|| {
        let (attempted, noun) = (holder.attempted(), holder.noun());
        Error::new(
            Reason::PinRequired,
            format!(
                "{attempted}: no {noun} and nobody to ask; add pin-source = file:/path/to/pin to \
                 hwkey's section of openssl.cnf, or ?pin-source=file:/path/to/pin to the URI"
            ),
        )
    })
}

/// Where a kept PIN comes from.
const KEPT: &str = "kept from before";
