//! Key URIs: a scheme for each kind of hardware.

pub mod parsec;
mod part;
pub mod pkcs11;
pub mod tpm2;

use std::fmt;

pub use parsec::ParsecUri;
pub use pkcs11::Pkcs11Uri;
pub use tpm2::Tpm2Uri;

use crate::error::{Error, Reason, Result};

/// A parsed key URI.
pub enum Uri {
    Pkcs11(Box<Pkcs11Uri>),
    Tpm2(Tpm2Uri),
    Parsec(ParsecUri),
}

/// Where a URI came from. Data never chooses code: a URI inside a file may not name other files,
/// sockets or modules (CVE-2023-38408 is what comes of it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The program gave it: its own configuration or command line.
    Program,
    /// It was read from a PEM or DER file.
    File,
}

impl Uri {
    /// Parses `text`, whose scheme decides the syntax.
    pub fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once(':').ok_or_else(|| {
            Error::new(
                Reason::InvalidUri,
                "a key URI begins with its scheme and a colon, such as pkcs11:, tpm2: or parsec:",
            )
        })?;
        let is = |known: &str| scheme.eq_ignore_ascii_case(known);
        if is(pkcs11::SCHEME) {
            return Pkcs11Uri::parse(rest).map(|uri| Self::Pkcs11(Box::new(uri)));
        }
        if is(tpm2::SCHEME) {
            return Tpm2Uri::parse(rest).map(Self::Tpm2);
        }
        if is(tpm2::HANDLE_SCHEME) {
            return Tpm2Uri::parse_handle(rest).map(Self::Tpm2);
        }
        if is(tpm2::OBJECT_SCHEME) {
            return Tpm2Uri::parse_object(rest).map(Self::Tpm2);
        }
        if is(parsec::SCHEME) {
            return ParsecUri::parse(rest).map(Self::Parsec);
        }
        Err(Error::new(
            Reason::InvalidUri,
            format!("unknown scheme \"{scheme}:\"; this hwkey knows pkcs11:, tpm2: and parsec:"),
        ))
    }

    /// Refuses what a URI from `origin` may not say.
    pub fn allowed_from(self, origin: Origin, allow_paths: bool) -> Result<Self> {
        let named = match &self {
            Self::Pkcs11(uri) => uri.path_attribute(),
            Self::Tpm2(uri) => uri.path_attribute(),
            Self::Parsec(uri) => uri.path_attribute(),
        };
        match named {
            Some(name) if origin == Origin::File && !allow_paths => Err(Error::new(
                Reason::UriNotAllowed,
                format!(
                    "the URI in the file has {name}; put it into openssl.cnf instead, or set \
                     allow-uri-paths = yes in hwkey's section if every such file is trusted"
                ),
            )),
            _ => Ok(self),
        }
    }
}

/// The URI without its secrets and paths: what may be shown and written.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pkcs11(uri) => write!(f, "{uri}"),
            Self::Tpm2(uri) => write!(f, "{uri}"),
            Self::Parsec(uri) => write!(f, "{uri}"),
        }
    }
}
