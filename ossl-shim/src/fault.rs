//! What can go wrong in the shim itself, for the provider to put into its own words.

use std::fmt;

/// A failure between OpenSSL and the provider: not the hardware's and not the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A Rust panic was stopped at the boundary.
    Panic(String),
    /// A parameter has the wrong type, or a value that does not fit.
    Param { name: String, problem: &'static str },
    /// The caller's buffer is too small.
    BufferTooSmall { needed: usize, given: usize },
    /// A null pointer where the ABI promises an object.
    Null(&'static str),
    /// The core's BIO refused to read or write.
    Bio(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic(message) => write!(f, "internal error: {message}"),
            Self::Param { name, problem } => write!(f, "parameter \"{name}\": {problem}"),
            Self::BufferTooSmall { needed, given } => {
                write!(
                    f,
                    "the output buffer has {given} bytes and {needed} are needed"
                )
            }
            Self::Null(what) => write!(f, "{what} is missing (null pointer)"),
            Self::Bio(what) => write!(f, "OpenSSL's BIO failed: {what}"),
        }
    }
}
