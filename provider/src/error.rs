//! What hwkey says when something fails.
//!
//! Each error has a [`Reason`] (stable, documented in docs/errors.md: many programs print only its
//! text) and a message with what was attempted, where, the backend's own code, and what to do next.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

use log::Level;
use ossl_shim::{Entry, Fault, Report};

use crate::text::one_line;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $level:ident, $text:literal;)*) => {
        /// Why an operation failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $($(#[$doc])* $name = $number,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The table that OpenSSL reads.
            pub const STRINGS: &[ossl_shim::Reason] = &[
                $(ossl_shim::Reason::new(
                    $number,
                    match std::ffi::CStr::from_bytes_with_nul(concat!($text, "\0").as_bytes()) {
                        Ok(text) => text,
                        Err(_) => panic!("a reason text contains NUL"),
                    },
                ),)*
                ossl_shim::Reason::END,
            ];

            /// The number in OpenSSL's error code.
            pub fn number(self) -> u32 {
                self as u32
            }

            /// The reason string.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            fn level(self) -> Level {
                match self {
                    $(Self::$name => Level::$level,)*
                }
            }
        }
    };
}

reasons! {
    /// A value in the hwkey section of openssl.cnf is wrong.
    InvalidOption = 100, Error, "invalid option in openssl.cnf";
    /// The text is not a key URI.
    InvalidUri = 101, Error, "malformed key URI";
    /// The PKCS#11 module is missing, is none, or fails to start.
    ModuleUnavailable = 102, Error, "PKCS#11 module can't be used";
    /// Nothing matches the token part of the URI.
    NoSuchToken = 103, Error, "no such token";
    /// Several tokens match the URI.
    AmbiguousToken = 104, Error, "several tokens match";
    /// The token has no such object.
    NoSuchKey = 105, Error, "no such key";
    /// Several objects of the token match the URI.
    AmbiguousKey = 106, Error, "several keys match";
    /// The token wants a PIN and there is none.
    PinRequired = 107, Error, "PIN required";
    /// The token refused the PIN, now or before.
    PinRefused = 108, Error, "PIN refused";
    /// The PIN is locked, or its last try is left.
    PinLocked = 109, Error, "PIN locked";
    /// The PIN can't be read from where it should come from.
    PinSourceUnusable = 110, Error, "PIN source can't be used";
    /// A key of a type, curve or size that hwkey does not handle.
    UnsupportedKey = 111, Error, "key type not supported";
    /// The key's attributes or the token do not allow the operation.
    OperationNotAllowed = 112, Error, "operation not allowed for the key";
    /// A digest that hwkey does not know, or that does not go with the operation.
    UnsupportedDigest = 113, Debug, "digest not supported";
    /// A parameter that OpenSSL passed is wrong or not supported.
    InvalidParameter = 114, Info, "parameter not supported";
    /// The data to be signed has the wrong length.
    InvalidData = 115, Warn, "data of the wrong length";
    /// The token reported a failure.
    TokenFailed = 116, Error, "the token failed";
    /// A key found again has another public half.
    KeyChanged = 117, Error, "the key was replaced by another one";
    /// Someone wants the private key itself.
    NotExportable = 118, Warn, "the private key can't leave its hardware";
    /// A PEM or DER reference to a key is damaged.
    InvalidReference = 119, Error, "malformed key reference file";
    /// A URI from a file names a file, socket or module.
    UriNotAllowed = 120, Error, "key URI from a file is not allowed to name files";
    /// Neither default nor fips is active.
    NoDefaultProvider = 121, Error, "OpenSSL's default provider is not active";
    /// OpenSSL asked hwkey for a software key.
    NotForSoftwareKeys = 122, Warn, "hwkey is chosen for software keys";
    /// A fault in hwkey, or between it and OpenSSL.
    Internal = 123, Error, "internal error";
    /// The token waited for a touch in vain.
    NotTouched = 124, Error, "the token was not touched";
    /// The TPM, or the software between it and hwkey, is missing or does not answer.
    TpmUnavailable = 125, Error, "TPM can't be used";
    /// A wrapped key or a saved context is of another TPM.
    ForeignKey = 126, Error, "the key belongs to another TPM";
    /// The Parsec service is missing, can't be reached, or does not answer.
    ParsecUnavailable = 127, Error, "Parsec service can't be used";
    /// The service does not take who asks, or not in this way.
    ParsecRefused = 128, Error, "Parsec refused the client";
}

/// OpenSSL keeps 1,024 bytes (`ERR_MAX_DATA_SIZE`), its own prefixes included.
const MAX_TEXT: usize = 1000;

/// An error with its cause and what it stopped.
#[derive(Debug)]
pub struct Error {
    reason: Reason,
    message: Cow<'static, str>,
    location: &'static Location<'static>,
    stopped: Option<String>,
    reported_elsewhere: bool,
}

/// The result of everything in hwkey.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    #[track_caller]
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
            location: Location::caller(),
            stopped: None,
            reported_elsewhere: false,
        }
    }

    /// Adds what could not be done because of it. The outermost of several wins.
    #[must_use]
    pub fn stopping(mut self, what: impl Into<String>) -> Self {
        self.stopped = Some(what.into());
        self
    }

    /// Says first what was attempted, and where.
    #[must_use]
    pub fn within(mut self, attempted: &str) -> Self {
        self.message = format!("{attempted}: {}", self.message).into();
        self
    }

    /// Says last what else helps.
    #[must_use]
    pub fn and(mut self, more: &str) -> Self {
        self.message = format!("{}; {more}", self.message).into();
        self
    }

    /// An error of which somebody else tells OpenSSL and the log.
    #[track_caller]
    pub fn reported_elsewhere(reason: Reason) -> Self {
        Self {
            reported_elsewhere: true,
            ..Self::new(reason, "")
        }
    }

    pub fn reason(&self) -> Reason {
        self.reason
    }

    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.text(), self.message)?;
        match &self.stopped {
            Some(what) => write!(f, " [{what}]"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl Report for Error {
    /// The cause, then what it stopped, both with the same reason: programs print the first, the
    /// last, or only the reason.
    fn report(&self, raise: &mut dyn FnMut(Entry<'_>)) {
        if self.reported_elsewhere {
            return;
        }
        log::log!(self.reason.level(), "{self}");
        let mut entry = |text: &str| {
            raise(Entry {
                reason: self.reason.number(),
                text: &entry_text(text),
                location: self.location,
            });
        };
        entry(&self.message);
        if let Some(what) = &self.stopped {
            entry(what);
        }
    }
}

impl From<Fault> for Error {
    #[track_caller]
    fn from(fault: Fault) -> Self {
        let reason = match fault {
            Fault::Param { .. } => Reason::InvalidParameter,
            Fault::BufferTooSmall { .. } => Reason::InvalidData,
            _ => Reason::Internal,
        };
        Self::new(reason, fault.to_string())
    }
}

/// The operating system's words for `error`, without its number.
pub fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// One line of at most [`MAX_TEXT`] bytes.
fn entry_text(text: &str) -> String {
    let mut line = one_line(text);
    let end = (0..=MAX_TEXT.min(line.len())).rfind(|end| line.is_char_boundary(*end));
    line.truncate(end.unwrap_or(0));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let text = "a".to_owned() + &"ü".repeat(MAX_TEXT);
        let cut = entry_text(&text);
        assert!(cut.len() <= MAX_TEXT && text.starts_with(&cut));
    }

    #[test]
    fn a_label_can_not_begin_a_line() {
        assert_eq!(entry_text("a\nb\0c"), "a b c");
    }

    #[test]
    fn every_reason_is_documented_under_its_number_and_text() {
        let page = include_str!("../../docs/errors.md");
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| 1"))
            .collect();
        assert_eq!(rows.len(), Reason::ALL.len());
        for (row, reason) in rows.iter().zip(Reason::ALL) {
            let start = format!("| {} | {} | ", reason.number(), reason.text());
            assert!(row.starts_with(&start), "{row}\nshould start with {start}");
        }
    }

    #[test]
    fn the_cause_comes_before_what_it_stopped() {
        let error = Error::new(Reason::NoSuchKey, "cause").stopping("the signature");
        let mut seen = Vec::new();
        error.report(&mut |entry| seen.push((entry.reason, entry.text.to_owned())));
        assert_eq!(
            seen,
            [(105, "cause".to_owned()), (105, "the signature".to_owned())]
        );
    }
}
