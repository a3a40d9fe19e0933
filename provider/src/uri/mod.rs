//! Key URIs: a scheme for each kind of hardware.

pub mod pkcs11;

use std::fmt;

pub use pkcs11::Pkcs11Uri;

use crate::error::{Error, Reason, Result};

/// A parsed key URI.
pub enum Uri {
    Pkcs11(Pkcs11Uri),
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
                "a key URI begins with its scheme, such as pkcs11:",
            )
        })?;
        if scheme.eq_ignore_ascii_case(pkcs11::SCHEME) {
            return Pkcs11Uri::parse(rest).map(Self::Pkcs11);
        }
        Err(Error::new(
            Reason::InvalidUri,
            format!("unknown scheme \"{scheme}:\"; this hwkey knows pkcs11:"),
        ))
    }

    /// Refuses what a URI from `origin` may not say.
    pub fn allowed_from(self, origin: Origin, allow_paths: bool) -> Result<Self> {
        let Self::Pkcs11(uri) = &self;
        match uri.path_attribute() {
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
        let Self::Pkcs11(uri) = self;
        write!(f, "{uri}")
    }
}
