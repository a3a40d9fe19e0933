//! `pin-prompt`: asking for a PIN where OpenSSL offers no prompt, at a signature above all.

mod askpass;
mod line;
mod terminal;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ossl_shim::process::PerProcess;

use crate::error::{Error, Reason, Result, system_text};
use crate::pin::Pin;
use crate::text::one_line;

/// How long the user may take. Other threads that need the token wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// One question at a time: two on one terminal would mix up their answers. Inside, when which one was
/// last asked in vain.
static TURN: PerProcess<Mutex<Option<(Instant, String)>>> = PerProcess::new();

/// Who asks when OpenSSL can't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinPrompt {
    /// The terminal that controls the process, tty(4).
    Terminal,
    /// A program that is given the question as its argument and prints the PIN, as ssh-askpass.
    Program(PathBuf),
}

impl PinPrompt {
    /// `tty`, or the absolute path of a program.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "tty" => Some(Self::Terminal),
            path if path.starts_with('/') => Some(Self::Program(path.into())),
            _ => None,
        }
    }

    /// Asks for the PIN of `what`, unless it is `known` when our turn comes. Who has waited `since`
    /// before another thread asked in vain does not ask once more.
    pub fn ask(
        &self,
        what: &str,
        since: Instant,
        known: impl FnOnce() -> Option<Pin>,
    ) -> Result<Pin> {
        let turn = TURN.get(Mutex::default);
        let mut in_vain = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pin) = known() {
            return Ok(pin);
        }
        let question = format!("PIN for {}: ", one_line(what));
        let asked = format!("{self}: {question}");
        let is_settled = |(at, vain): &(Instant, String)| *at > since && *vain == asked;
        if in_vain.as_ref().is_some_and(is_settled) {
            return Err(self.failed(what, "another thread has just asked in vain"));
        }
        let deadline = Instant::now() + PATIENCE;
        let answer = match self {
            Self::Terminal => terminal::ask(&question, deadline),
            Self::Program(path) => askpass::ask(path, &question, deadline),
        };
        let problem = match answer {
            Ok(Some(pin)) if !pin.is_empty() => return Ok(pin),
            Ok(_) => "no PIN was given".into(),
            Err(error) => system_text(&error),
        };
        *in_vain = Some((Instant::now(), asked));
        Err(self.failed(what, &problem))
    }

    #[track_caller]
    fn failed(&self, what: &str, problem: &str) -> Error {
        let cure = match self {
            Self::Terminal => {
                "answer it in the foreground of a terminal, or configure a pin-source"
            }
            Self::Program(_) => "try the program by hand, or configure a pin-source",
        };
        Error::new(
            Reason::PinRequired,
            format!("asking for the PIN of {what} by {self}: {problem}; {cure}"),
        )
    }
}

impl std::fmt::Display for PinPrompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Terminal => f.write_str("pin-prompt = tty"),
            Self::Program(path) => write!(f, "pin-prompt = {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tty_and_absolute_paths_are_prompts() {
        assert_eq!(PinPrompt::parse("tty"), Some(PinPrompt::Terminal));
        assert_eq!(
            PinPrompt::parse("/x"),
            Some(PinPrompt::Program("/x".into()))
        );
        for wrong in ["", "askpass", "TTY", "yes"] {
            assert_eq!(PinPrompt::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_known_when_the_turn_comes_is_not_asked_for() {
        let prompt = PinPrompt::Program("/nowhere".into());
        let known = prompt
            .ask("token", Instant::now(), || Pin::copied(b"123456"))
            .unwrap();
        assert_eq!(&*known, b"123456");
        assert!(prompt.ask("token", Instant::now(), || None).is_err());
    }
}
