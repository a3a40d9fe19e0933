//! The module of `front.c`: a real token that behaves like one that is not on this machine.

use std::path::Path;

use crate::{Bench, KeyType, Run, SOFTHSM};

/// A bench whose openssl.cnf names the module in front of SoftHSM.
pub struct Front {
    pub bench: Bench,
    behaviour: Vec<(&'static str, String)>,
}

impl Front {
    /// A token with a P-256 key `ec` and an RSA key `rsa`, and their reference files. `behaviour` is
    /// what `front.c` reads from the environment.
    pub fn new(behaviour: &[(&'static str, &str)]) -> Self {
        let bench = Bench::new("front");
        for (key, label, id) in [(KeyType::P256, "ec", "01"), (KeyType::Rsa2048, "rsa", "02")] {
            bench.token.make_key(key, label, id);
            bench
                .openssl("pkey -in {} -out {}.pem", &[&bench.uri(label), label])
                .ok();
        }
        std::fs::write(bench.path("message"), "to whom it may concern").expect("message");
        build(&bench.path(MODULE));
        let behaviour = behaviour
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let front = Self { bench, behaviour };
        front.configure(|conf| conf);
        front
    }

    /// The usual openssl.cnf of this bench, changed.
    pub fn configure(&self, change: impl FnOnce(crate::Conf) -> crate::Conf) {
        let module = self.bench.path(MODULE);
        let path = module.to_str().expect("UTF-8");
        let conf = self.bench.conf().option("pkcs11-module-path", path);
        self.bench.configure(&change(conf));
    }

    /// Adds to the environment what makes the token behave.
    pub fn with(&self, run: Run) -> Run {
        let run = run.env("FRONT_MODULE", SOFTHSM);
        let add = |run: Run, (name, value): &(&str, String)| run.env(name, value);
        self.behaviour.iter().fold(run, add)
    }

    /// `openssl`, as [`Bench::openssl`].
    pub fn openssl(&self, arguments: &str, values: &[&str]) -> Run {
        self.with(self.bench.openssl(arguments, values))
    }

    /// A signature over the file `message`, with more options, and its verification.
    #[track_caller]
    pub fn signs(&self, key: &str, options: &str) {
        let sign = format!("dgst -sha256 {options} -sign {key}.pem -out signature message");
        self.openssl(&sign, &[]).ok();
        self.openssl("pkey -in {}.pem -pubout -out {}.pub", &[key, key])
            .ok();
        let verify =
            format!("dgst -sha256 {options} -verify {key}.pub -signature signature message");
        self.bench.openssl(&verify, &[]).ok();
    }
}

const MODULE: &str = "front.so";

fn build(module: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/front.c");
    Run::new("cc")
        .args([
            "-Wall",
            "-Werror",
            "-shared",
            "-fPIC",
            "-I/usr/include/p11-kit-1",
            "-o",
        ])
        .args([module, &source])
        .ok();
}
