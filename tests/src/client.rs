//! An HTTPS client that shows a certificate: Python's `ssl`, its key in a token of its own, so that
//! it can't disturb the server's.

use std::path::{Path, PathBuf};

use crate::{Bench, KeyType, Run};

const SCRIPT: &str = include_str!("client.py");

const VERSIONS: [&str; 2] = ["TLSv1_2", "TLSv1_3"];

/// The client `device`.
pub struct Client {
    pub bench: Bench,
}

impl Client {
    pub fn new(key: KeyType) -> Self {
        let bench = Bench::new("device");
        bench.token.make_key(key, "device", "01");
        let uri = bench.uri("device");
        bench.openssl("pkey -in {} -out key.pem", &[&uri]).ok();
        bench
            .openssl(
                "req -x509 -new -key {} -subj /CN=device -days 9 -out cert.pem",
                &[&uri],
            )
            .ok();
        Self { bench }
    }

    /// What a server has to trust.
    pub fn certificate(&self) -> PathBuf {
        self.bench.path("cert.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.bench.path("key.pem")
    }

    /// The answers of the server on `port` in so many connections, TLS 1.2 and 1.3 by turns:
    /// `TLSv1.2 …`.
    #[track_caller]
    pub fn ask(&self, port: u16, server: &Path, handshakes: usize) -> Vec<String> {
        let run = self.script(port, server, &VERSIONS.join(" "), handshakes);
        let answers = run.args([self.certificate(), self.key()]).ok();
        let answers: Vec<String> = answers.lines().map(str::to_owned).collect();
        assert_eq!(answers.len(), handshakes, "{answers:?}");
        answers
    }

    /// The server breaks off each handshake.
    #[track_caller]
    pub fn is_refused(&self, port: u16, server: &Path) {
        for version in VERSIONS {
            let run = self.script(port, server, version, 1);
            is_broken_off(&run.args([self.certificate(), self.key()]).fails());
        }
    }

    /// The same of this client without its certificate.
    #[track_caller]
    pub fn is_refused_without_certificate(&self, port: u16, server: &Path) {
        for version in VERSIONS {
            is_broken_off(&self.script(port, server, version, 1).fails());
        }
    }

    fn script(&self, port: u16, server: &Path, versions: &str, handshakes: usize) -> Run {
        self.bench
            .run("/usr/bin/python3")
            .args(["-c", SCRIPT, &port.to_string()])
            .arg(server)
            .args([versions, &handshakes.to_string()])
    }
}

/// The subject of the certificate that is shown on `port`: `CN = …`.
pub fn shown_subject(port: u16) -> String {
    let connect = format!("localhost:{port}");
    let run = Run::new("openssl").args(["s_client", "-connect", &connect]);
    let shown = run.finish().stdout;
    let subject = shown.lines().find_map(|line| line.strip_prefix("subject="));
    subject.unwrap_or_default().to_owned()
}

/// The handshake failed: with the server's alert, or because the server hung up before the alert was
/// read, as it may in TLS 1.3, where the request is on its way already.
#[track_caller]
fn is_broken_off(said: &str) {
    let signs = [
        "alert",
        "SSLEOFError",
        "ConnectionResetError",
        "BrokenPipeError",
    ];
    assert!(signs.iter().any(|sign| said.contains(sign)), "{said}");
}
