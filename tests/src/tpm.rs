//! A TPM 2.0 in software, used through tpm2-openssl.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::{Background, Run, free_port, wait_for_port};

/// A running swtpm.
pub struct Tpm {
    port: u16,
    _process: Background,
}

impl Tpm {
    /// A new TPM, with its state in `dir`.
    pub fn start(dir: &Path) -> Self {
        let state = dir.join("tpm");
        fs::create_dir(&state).expect("a directory for the TPM");
        let port = two_ports();
        // Without openssl.cnf: it uses OpenSSL itself, and would be its own client.
        let process = Run::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", state.display()))
            .args(["--server", &format!("type=tcp,port={port}")])
            .args(["--ctrl", &format!("type=tcp,port={}", port + 1)])
            .background(Some(&dir.join("tpm.log")));
        wait_for_port(port + 1);
        Self {
            port,
            _process: process,
        }
    }

    /// A program that is to reach this TPM.
    pub fn for_program(&self, run: Run) -> Run {
        let address = format!("swtpm:host=127.0.0.1,port={}", self.port);
        run.env("TPM2OPENSSL_TCTI", address)
    }
}

/// Its control port is the one after the port that is named.
fn two_ports() -> u16 {
    loop {
        let port = free_port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}
