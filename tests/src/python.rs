//! The `ssl` module of the system's Python: TLS in one process, without a network.

use crate::{Bench, Finished, KeyType, Kind, Run, Site};

/// Python's own OpenSSL is the system's; one from elsewhere may carry another.
const PYTHON: &str = "/usr/bin/python3";

/// What each script begins with.
const PREAMBLE: &str = include_str!("handshake.py");

/// A bench with one key, its reference file and a certificate, for Python.
pub struct Python {
    pub bench: Bench,
    pub key: String,
    pub certificate: String,
}

impl Python {
    pub fn new(key: KeyType) -> Self {
        Self::on(Kind::SoftHsm, key)
    }

    /// The same on another kind of token.
    pub fn on(kind: Kind, key: KeyType) -> Self {
        let bench = Bench::on(kind, "python");
        bench.token.make_key(key, "key", "01");
        let (key, certificate) = bench.self_signed("key");
        Self {
            bench,
            key,
            certificate,
        }
    }

    /// `script`, with the functions of `handshake.py`, `KEY` and `CERT`.
    pub fn script(&self, script: &str) -> Run {
        self.script_with_key(script, &self.key)
    }

    /// The same with another key file.
    pub fn script_with_key(&self, script: &str, key: &str) -> Run {
        crate::script(&self.bench, script, key, &self.certificate)
    }

    pub fn run(&self, script: &str) -> Finished {
        self.script(script).finish()
    }
}

/// `script` on a token that the site has, with the functions of `handshake.py`, `KEY` and `CERT`.
pub fn script(site: &impl Site, script: &str, key: &str, certificate: &str) -> Run {
    let script = format!("{PREAMBLE}\n{script}");
    site.run(PYTHON.as_ref())
        .args(["-c", &script, key, certificate])
}
