//! The tokens that a URI may mean, over all modules.

use std::thread;
use std::time::Duration;

use cryptoki::slot::TokenInfo;
use ossl_shim::process::AppendOnly;

use super::choice;
use super::identity::matches;
use super::module::Present;
use super::registry;
use crate::backend::names::{listed, some_of};
use crate::config::Config;
use crate::error::{Error, Reason, Result};
use crate::uri::Pkcs11Uri;
use crate::uri::pkcs11::TokenPattern;

/// How many modules' faults an error repeats; the log has all.
const FAULTS: usize = 2;

/// How often it is looked for a token that is not there: a card is away for a moment when another
/// process that used it ends.
const LOOKS: usize = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The tokens that the URI does not exclude, each once. A module that can't be used disturbs only
/// those who need it.
pub fn candidates(config: &Config, uri: &Pkcs11Uri) -> Result<Vec<Present>> {
    let files = choice::files(config, uri)?;
    let mut seen = Seen::default();
    let mut answering = Vec::new();
    for file in &files {
        let before = registry::open(file).map(|module| (module, module.life_number()));
        match before.and_then(|(module, life)| Ok((module, life, module.tokens()?))) {
            Ok((module, life, tokens)) => {
                seen.add(uri, &tokens);
                answering.push((module, life));
            }
            Err(fault) => seen.faults.push(fault),
        }
    }
    let mut looks = 1;
    while seen.is_nothing() && looks < LOOKS && !answering.is_empty() {
        match looks {
            // One may have lost its service (pcscd) before this call, and not see it again. One that
            // serves somebody has not.
            1 => {
                for (module, life) in answering
                    .iter()
                    .filter(|(module, _)| module.is_unused(None))
                {
                    module.restart(*life);
                }
            }
            _ => thread::sleep(BETWEEN_LOOKS),
        }
        looks += 1;
        seen.there.clear();
        for (module, _) in &answering {
            seen.add(uri, &module.tokens().unwrap_or_default());
        }
    }
    if !seen.matching.is_empty() {
        for fault in seen.faults.into_iter().chain(seen.alike) {
            warn_once(&format!("{fault} [going on without it]"));
        }
        return Ok(seen.matching);
    }
    if let Some(alike) = seen.alike {
        return Err(alike);
    }
    if seen.there.is_empty() && !seen.faults.is_empty() {
        return Err(first_of(seen.faults));
    }
    let readers = answering.iter().flat_map(|(module, _)| module.readers());
    let readers: Vec<String> = readers.collect();
    Err(nothing_matches(uri, &seen, &readers))
}

/// What one look at all modules shows.
#[derive(Default)]
struct Seen {
    /// The names of the tokens that are there.
    there: Vec<String>,
    matching: Vec<Present>,
    /// Two that can't be told apart.
    alike: Option<Error>,
    faults: Vec<Error>,
}

impl Seen {
    /// The tokens of one module.
    fn add(&mut self, uri: &Pkcs11Uri, tokens: &[Present]) {
        for present in tokens {
            // One token may be seen through several modules (p11-kit's proxy beside its own).
            let identity = &present.token.identity;
            let is_known = |known: &Present| known.token.identity == *identity;
            if self.matching.iter().any(is_known) || !is_meant(&uri.token, &present.info) {
                continue;
            }
            self.there.push(identity.to_string());
            match matches(&uri.token, present) {
                Ok(false) => {}
                Ok(true) if has_twin(present, tokens) => self.alike = Some(twins(uri, present)),
                Ok(true) => self.matching.push(present.clone()),
                Err(fault) => self.faults.push(fault),
            }
        }
    }

    fn is_nothing(&self) -> bool {
        self.matching.is_empty() && self.alike.is_none()
    }
}

/// Whether another token of the module has the same label, serial number and so on: they can't be
/// told apart, and the PIN of one must not go to the other.
fn has_twin(present: &Present, tokens: &[Present]) -> bool {
    let alike = |other: &&Present| std::ptr::eq(other.token, present.token);
    tokens.iter().filter(alike).count() > 1
}

#[track_caller]
fn twins(uri: &Pkcs11Uri, present: &Present) -> Error {
    Error::new(
        Reason::AmbiguousToken,
        format!(
            "looking for {uri}: there are two of {}, with the same label, serial number and model; take \
             one out, or initialise one with another label",
            present.token.identity
        ),
    )
}

/// A module that is broken would be told of at each handshake.
fn warn_once(text: &str) {
    static TOLD: AppendOnly<String> = AppendOnly::new();
    if !TOLD.iter().any(|told| told == text) {
        TOLD.push(text.to_owned());
        log::warn!("{text}");
    }
}

/// p11-kit's tokens of trusted certificates flood a listing; they have no keys, and are looked into
/// only if the URI says so.
fn is_meant(pattern: &TokenPattern, info: &TokenInfo) -> bool {
    const TRUST_MODEL: &str = "p11-kit-trust";
    info.model() != TRUST_MODEL || *pattern != TokenPattern::default()
}

/// All modules failed. The others' faults go to the log.
fn first_of(faults: Vec<Error>) -> Error {
    let mut faults = faults.into_iter();
    let first = faults.next();
    for other in faults {
        log::error!("{other}");
    }
    first.unwrap_or_else(|| Error::new(Reason::Internal, "no PKCS#11 module was chosen"))
}

fn nothing_matches(uri: &Pkcs11Uri, seen: &Seen, readers: &[String]) -> Error {
    let none = "no token at all (is it plugged in and initialised, and may this user see it?)";
    let there = listed("is", "are", none, &seen.there);
    let readers = match readers {
        [] => String::new(),
        some => format!(
            "; nothing that this module knows is in {}, or another program (GnuPG's scdaemon?) keeps it \
             to itself",
            some_of(some)
        ),
    };
    let faults = seen.faults.iter().take(FAULTS);
    let faults: String = faults
        .map(|fault| format!("; {}", fault.message()))
        .collect();
    Error::new(
        Reason::NoSuchToken,
        format!("looking for {uri}: no token matches; there {there}{readers}{faults}"),
    )
}
