//! What each kind of token does in its own way.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::kryoptic::Kryoptic;
use super::remote::Remote;
use super::softhsm::SoftHsm;
use crate::run::Run;

/// The kinds of tokens that there are for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SoftHSM 2, what most tests use.
    SoftHsm,
    /// kryoptic, an implementation with nothing in common with it.
    Kryoptic,
    /// A token of another machine: kryoptic, but programs have only the socket of `p11-kit server`.
    Remote,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::SoftHsm, Self::Kryoptic, Self::Remote];

    pub(super) fn hardware(self, dir: &Path) -> Box<dyn Hardware> {
        match self {
            Self::SoftHsm => Box::new(SoftHsm::new(dir)),
            Self::Kryoptic => Box::new(Kryoptic::new(dir)),
            Self::Remote => Box::new(Remote::new(dir)),
        }
    }
}

/// A name and a value of the environment.
pub(super) type Variable = (&'static str, OsString);

/// A PKCS#11 module and the environment that it needs.
pub(super) struct Access {
    pub module: PathBuf,
    pub environment: Vec<Variable>,
}

/// Where tokens are, and how to get there. All its files are in the directory of a test.
pub(super) trait Hardware {
    /// Makes another token.
    fn initialise(&self, label: &str);

    /// The way of the programs under test.
    fn access(&self) -> Access;

    /// The way of the tools that make keys, beside the token.
    fn tools(&self) -> Access {
        self.access()
    }

    /// Lets `group` use what is on the token now, and change nothing.
    fn share_with(&self, group: &str);

    /// The names of all files that programs need the right to use, in the test's directory.
    fn files(&self) -> &[&str];
}

/// A PKCS#11 tool, with the right environment: without our openssl.cnf, since tokens use OpenSSL
/// themselves.
pub(super) fn tool(program: &str, dir: &Path, environment: &[Variable]) -> Run {
    let run = Run::new(program).dir(dir);
    environment
        .iter()
        .fold(run, |run, (name, value)| run.env(name, value))
}
