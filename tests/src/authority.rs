//! A certificate authority, and those that it certifies, each with its key in a token of its own.

use std::fs;

use crate::{Bench, KeyType};

/// An authority with its key in a token: `ca.crt`.
pub struct Authority {
    bench: Bench,
}

impl Authority {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let bench = Bench::new("authority");
        bench.token.make_key(KeyType::P256, "authority", "01");
        bench
            .openssl(
                "req -x509 -new -key {} -subj /CN=authority -days 9 -out ca.crt",
                &[&bench.uri("authority")],
            )
            .ok();
        Self { bench }
    }

    /// A bench with a key, its reference file `key.pem`, a certificate for it, `cert.pem`, and
    /// `ca.crt`.
    pub fn party(&self, name: &str, key: KeyType) -> Bench {
        let bench = Bench::new(name);
        bench.token.make_key(key, name, "01");
        bench
            .openssl("pkey -in {} -out key.pem", &[&bench.uri(name)])
            .ok();
        fs::copy(self.bench.path("ca.crt"), bench.path("ca.crt")).unwrap();
        self.certify(&bench, name, name);
        bench
    }

    /// `cert.pem` for the key `label` and the name `subject`.
    pub fn certify(&self, bench: &Bench, label: &str, subject: &str) {
        bench
            .openssl(
                "req -new -key {} -subj /CN={} -addext subjectAltName=DNS:localhost -out request.pem",
                &[&bench.uri(label), subject],
            )
            .ok();
        let request = bench.path("request.pem").display().to_string();
        let certificate = self
            .bench
            .openssl(
                "x509 -req -in {} -CA ca.crt -CAkey {} -CAcreateserial -copy_extensions copy -days 9",
                &[&request, &self.bench.uri("authority")],
            )
            .ok();
        fs::write(bench.path("cert.pem"), certificate).unwrap();
    }
}
