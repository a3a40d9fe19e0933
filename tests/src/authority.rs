//! A certificate authority, and those that it certifies, each with its key in a token of its own.

use std::fs;

use crate::{Bench, KeyType, Kind, Site};

/// An authority with its key in a token: `ca.crt`.
pub struct Authority {
    bench: Bench,
}

impl Authority {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self::on(Kind::SoftHsm)
    }

    /// The same on another kind of token.
    pub fn on(kind: Kind) -> Self {
        let bench = Bench::on(kind, "authority");
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
        self.party_on(Kind::SoftHsm, name, key)
    }

    /// The same on another kind of token.
    pub fn party_on(&self, kind: Kind, name: &str, key: KeyType) -> Bench {
        let bench = Bench::on(kind, name);
        bench.token.make_key(key, name, "01");
        self.admit(&bench, &bench.uri(name), name);
        bench
    }

    /// `cert.pem` for the key `label` and the name `subject`.
    pub fn certify(&self, bench: &Bench, label: &str, subject: &str) {
        self.certify_key(bench, &bench.uri(label), subject);
    }

    /// A machine with the key at `uri` gets `key.pem`, `cert.pem` for the name `subject`, and `ca.crt`.
    pub fn admit(&self, site: &impl Site, uri: &str, subject: &str) {
        site.run("openssl".as_ref())
            .words("pkey -in {} -out key.pem", &[uri])
            .ok();
        fs::copy(self.bench.path("ca.crt"), site.path("ca.crt")).expect("ca.crt");
        self.certify_key(site, uri, subject);
    }

    fn certify_key(&self, site: &impl Site, uri: &str, subject: &str) {
        site.run("openssl".as_ref())
            .words(
                "req -new -key {} -subj /CN={} -addext subjectAltName=DNS:localhost -out request.pem",
                &[uri, subject],
            )
            .ok();
        let request = site.path("request.pem").display().to_string();
        let certificate = self
            .bench
            .openssl(
                "x509 -req -in {} -CA ca.crt -CAkey {} -CAcreateserial -copy_extensions copy -days 9",
                &[&request, &self.bench.uri("authority")],
            )
            .ok();
        fs::write(site.path("cert.pem"), certificate).expect("cert.pem");
    }
}
