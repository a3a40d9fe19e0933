//! A machine with a TPM, where programs have its keys through hwkey.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Tpm;
use crate::{Conf, Run, Site, Steps, helper, token};

/// A TPM of its own, an openssl.cnf that says how it is reached, and a directory.
pub struct Gateway {
    /// Ends before its directory goes.
    pub tpm: Tpm,
    dir: TempDir,
}

impl Gateway {
    /// With a TPM that programs reach directly.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self::with(Tpm::start)
    }

    /// With one of [`Tpm::KINDS`].
    pub fn with(kind: fn(&Path) -> Tpm) -> Self {
        let dir = tempfile::Builder::new().prefix("hwkey-test-").tempdir();
        let dir = dir.expect("a temporary directory");
        // Servers change their user: they may go through, not look around.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("chmod");
        fs::write(dir.path().join("message"), "to whom it may concern").expect("message");
        let gateway = Self {
            tpm: kind(dir.path()),
            dir,
        };
        gateway.configure(&gateway.conf());
        gateway
    }

    /// The usual openssl.cnf: default first, hwkey with this TPM.
    pub fn conf(&self) -> Conf {
        Conf::new().option("tpm2-tcti", &self.tpm.tcti())
    }

    /// The same with the authorisation values of all keys from the file `pin`.
    pub fn conf_with_pin_file(&self) -> Conf {
        let source = format!("file:{}", self.path("pin").display());
        self.conf().option("pin-source", &source)
    }

    /// Writes `conf` to where the programs read it.
    pub fn configure(&self, conf: &Conf) {
        fs::write(self.path("openssl.cnf"), conf.text()).expect("openssl.cnf");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes what the file `pin` holds.
    pub fn write_pin(&self, value: &str) {
        token::write_private(&self.path("pin"), &format!("{value}\n"));
    }

    /// A program in this directory, with its TPM and openssl.cnf.
    pub fn run(&self, program: impl AsRef<OsStr>) -> Run {
        let run = self.tpm.for_program(Run::new(program));
        run.dir(self.dir.path())
            .env("OPENSSL_CONF", self.path("openssl.cnf"))
    }

    /// `openssl` with arguments as in [`Run::words`].
    pub fn openssl(&self, arguments: &str, values: &[&str]) -> Run {
        self.run("openssl").words(arguments, values)
    }

    /// Writes the PEM file that stands for the key at `uri`.
    pub fn reference(&self, uri: &str, file: &str) {
        self.openssl("pkey -in {} -out {}", &[uri, file]).ok();
    }

    /// Writes the public key of the key in this file, or at this URI.
    pub fn public_key(&self, key: &str, file: &str) {
        self.openssl("pkey -in {} -pubout -out {}", &[key, file])
            .ok();
    }

    /// One process that loads keys and signs as the test goes on.
    pub fn steps(&self) -> Steps {
        Steps::of(self.run(helper("steps")), &self.path("steps.log"))
    }

    /// Outcomes of one process that takes these steps.
    #[track_caller]
    pub fn take(&self, steps: &[&str]) -> Vec<String> {
        let said = self.run(helper("steps")).args(steps).ok();
        said.lines().map(str::to_owned).collect()
    }
}

impl Site for Gateway {
    /// Of the bus on which a resource manager is reached.
    const ENVIRONMENT: &[&str] = &["DBUS_SESSION_BUS_ADDRESS"];

    fn path(&self, name: &str) -> PathBuf {
        self.path(name)
    }

    fn run(&self, program: &OsStr) -> Run {
        self.run(program)
    }
}
