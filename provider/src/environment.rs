//! The program's environment.

use std::ffi::OsString;

use ossl_shim::process::is_privileged;

/// An environment variable that is not empty, unless the program runs with rights that its user has
/// not.
pub fn trusted_variable(name: &str) -> Option<OsString> {
    (!is_privileged())
        .then(|| std::env::var_os(name))
        .flatten()
        .filter(|value| !value.is_empty())
}
