//! One TPM: questions and answers.

use std::cell::Cell;
use std::fmt;

use tpm2_abi::{
    Area, Description, Failure, Listed, Lockout, Object, Outcome, Request, Secret, Task,
};

use super::failure;
use super::part::{not_answered, part};
use super::tcti;
use crate::config::Config;
use crate::error::{Error, Reason, Result};

/// A TPM, by the way it is reached.
#[derive(Clone, Debug)]
pub struct Tpm {
    pub tcti: String,
    /// Known once it has been asked.
    pub description: Option<Description>,
}

/// Why there is no answer.
pub enum Trouble {
    /// The TPM, or what is between it and us.
    Tpm(Failure),
    /// The part that speaks to it.
    Part(Error),
}

/// The result of a question.
pub type Answer<T> = std::result::Result<T, Trouble>;

impl Tpm {
    pub fn chosen(config: &Config) -> Result<Self> {
        Ok(Self {
            tcti: tcti::chosen(config)?,
            description: None,
        })
    }

    pub fn ask(&self, task: Task) -> Answer<Outcome> {
        let request = Request {
            tcti: self.tcti.clone(),
            task,
        };
        let part = part().map_err(Trouble::Part)?;
        let reply = while_asking(|| part.call(&request));
        let reply = reply.map_err(|problem| Trouble::Part(not_answered(&problem)))?;
        reply.map_err(Trouble::Tpm)
    }

    /// The public area of `object`, which is loaded for it.
    pub fn inspect(&mut self, object: Object) -> Answer<Area> {
        match self.ask(Task::Inspect { object })? {
            Outcome::Inspected { area, tpm } => {
                self.description = Some(tpm);
                Ok(area)
            }
            _ => Err(unexpected()),
        }
    }

    pub fn done(&self, task: Task) -> Answer<()> {
        match self.ask(task)? {
            Outcome::Done => Ok(()),
            _ => Err(unexpected()),
        }
    }

    pub fn bytes(&self, task: Task) -> Answer<Vec<u8>> {
        match self.ask(task)? {
            Outcome::Bytes(bytes) => Ok(bytes),
            _ => Err(unexpected()),
        }
    }

    pub fn secret(&self, task: Task) -> Answer<Secret> {
        match self.ask(task)? {
            Outcome::Secret(secret) => Ok(secret),
            _ => Err(unexpected()),
        }
    }

    pub fn listing(&self) -> Answer<Vec<Listed>> {
        match self.ask(Task::List)? {
            Outcome::Listing(listed) => Ok(listed),
            _ => Err(unexpected()),
        }
    }

    pub fn lockout(&self) -> Answer<Lockout> {
        match self.ask(Task::Lockout)? {
            Outcome::Lockout(lockout) => Ok(lockout),
            _ => Err(unexpected()),
        }
    }

    /// For `map_err`: an error that says what was attempted.
    pub fn failed(&self, attempted: impl FnOnce() -> String) -> impl FnOnce(Trouble) -> Error {
        move |trouble| match trouble {
            Trouble::Tpm(failure) => failure::error(&attempted(), self, &failure),
            Trouble::Part(error) => error.within(&attempted()),
        }
    }
}

/// As tokens are named: `TPM "SW TPM" (IBM, device:/dev/tpmrm0)`.
impl fmt::Display for Tpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(known) => write!(
                f,
                "TPM \"{}\" ({}, {})",
                known.vendor, known.manufacturer, self.tcti
            ),
            None => write!(f, "TPM ({})", self.tcti),
        }
    }
}

thread_local! {
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

fn while_asking<T>(ask: impl FnOnce() -> T) -> T {
    let before = ASKING.replace(true);
    let answer = ask();
    ASKING.set(before);
    answer
}

/// Whether this thread is in a question: tss2 calls OpenSSL, which can come back to us.
pub fn is_asking() -> bool {
    ASKING.get()
}

/// The part has answered another question than the one that was asked.
#[track_caller]
pub fn unexpected() -> Trouble {
    Trouble::Part(Error::new(
        Reason::Internal,
        "hwkey-tpm2.so gave an answer to another question",
    ))
}
