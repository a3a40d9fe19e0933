//! Where programs run: a directory with an openssl.cnf, and a token that they see.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::{Bench, Card, Run};

/// A bench, or a card.
pub trait Site {
    /// Variables of the environment that each process needs to find the token, also one that was
    /// forked.
    const ENVIRONMENT: &[&str];

    fn path(&self, name: &str) -> PathBuf;

    /// A program in its directory, with its token and openssl.cnf.
    fn run(&self, program: &OsStr) -> Run;

    /// Writes a certificate for the key at `uri`, signed by itself, to `file`.
    fn certify(&self, uri: &str, subject: &str, file: &str) {
        self.run("openssl".as_ref())
            .words(
                "req -x509 -new -key {} -subj /CN={} -addext \
                 subjectAltName=DNS:localhost,IP:127.0.0.1 -days 30 -out {}",
                &[uri, subject, file],
            )
            .ok();
    }

    /// Writes the reference PEM of the key at `uri` and a certificate that it signed itself; returns
    /// their file names, relative to the directory.
    fn self_signed(&self, uri: &str, name: &str) -> (String, String) {
        let (key, cert) = (format!("{name}.key.pem"), format!("{name}.crt.pem"));
        self.run("openssl".as_ref())
            .words("pkey -in {} -out {}", &[uri, &key])
            .ok();
        self.certify(uri, "localhost", &cert);
        (key, cert)
    }
}

impl Site for Bench {
    const ENVIRONMENT: &[&str] = &[];

    fn path(&self, name: &str) -> PathBuf {
        self.path(name)
    }

    fn run(&self, program: &OsStr) -> Run {
        self.run(program)
    }
}

impl Site for Card {
    const ENVIRONMENT: &[&str] = &["PCSCLITE_CSOCK_NAME"];

    fn path(&self, name: &str) -> PathBuf {
        self.path(name)
    }

    fn run(&self, program: &OsStr) -> Run {
        self.run(program)
    }
}
