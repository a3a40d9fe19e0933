//! What the tests share: a token, an openssl.cnf and a directory of their own for each test,
//! so that tests run side by side; and running real programs in them.
//!
//! The module under test is `target/<profile>/libhwkey.so`: build the workspace first
//! (`ci/test` does).

#![forbid(unsafe_code)]

mod authority;
mod card;
mod client;
mod conf;
mod followed;
mod front;
mod group;
mod hammer;
mod kept;
mod mosquitto;
mod net;
mod nginx;
mod node;
mod parsec;
mod python;
mod reference;
mod run;
mod said;
mod site;
mod spy;
mod steps;
mod tables;
mod token;
mod tpm;

use std::path::PathBuf;

pub use authority::Authority;
pub use card::{Card, Chip, FACTORY_PIN, Module, PUK, Reader, Slot};
pub use client::{Client, shown_subject};
pub use conf::Conf;
pub use followed::{Followed, page, repository};
pub use front::Front;
pub use group::{Group, is_root};
pub use hammer::{hammer, key_files};
pub use kept::Kept;
pub use mosquitto::Broker;
pub use net::{free_port, wait_for_port, wait_until};
pub use nginx::Nginx;
pub use node::{named_nodes, node};
pub use parsec::{Parsec, ParsecProvider, SOMEBODY};
pub use python::{Python, script};
pub use reference::reference;
pub use run::{Background, Finished, Run};
pub use said::{Said, WRONG_PIN, bench, failed_load, identity, load, software_works};
pub use site::Site;
pub use spy::spy;
pub use steps::Steps;
pub use tables::{has_only_messages_that_are_seen, has_table};
pub use token::{KeyType, Kind, PIN, SO_PIN, Token};
pub use tpm::{
    Algorithm, Gateway, KeyFile, KeyFileKind, Parent, Relay, Tpm, TpmKey, USUAL_KEY_FILE,
};

/// The SoftHSM module of Debian.
pub const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// The module under test: where cargo put the programs of this crate too. Its tests are in a directory
/// below.
pub fn module() -> PathBuf {
    let exe = std::env::current_exe().expect("the path of this program");
    let profile = exe
        .ancestors()
        .skip(1)
        .find(|dir| dir.file_name().is_some_and(|name| name != "deps"))
        .expect("target/<profile>");
    let module = profile.join("libhwkey.so");
    assert!(
        module.exists(),
        "{} is missing: run cargo build --workspace first",
        module.display()
    );
    module
}

/// A program of this crate (src/bin).
pub fn helper(name: &str) -> PathBuf {
    module().with_file_name(name)
}

/// A token, an openssl.cnf that names it, and a directory; what most tests begin with.
pub struct Bench {
    pub token: Token,
    pub dir: PathBuf,
}

impl Bench {
    /// A fresh SoftHSM token labelled `label`, without keys.
    pub fn new(label: &str) -> Self {
        Self::on(Kind::SoftHsm, label)
    }

    /// The same on another kind of token.
    pub fn on(kind: Kind, label: &str) -> Self {
        let token = Token::new(kind, label);
        let dir = token.dir().to_owned();
        let bench = Self { token, dir };
        bench.configure(&bench.conf());
        bench
    }

    /// The usual openssl.cnf: default first, hwkey with this token's module and PIN file.
    pub fn conf(&self) -> Conf {
        Conf::new()
            .option(
                "pkcs11-module-path",
                &self.token.module().display().to_string(),
            )
            .option("pin-source", &format!("file:{}", self.pin_file().display()))
    }

    /// Writes `conf` to where the programs of this bench read it.
    pub fn configure(&self, conf: &Conf) {
        std::fs::write(self.path("openssl.cnf"), conf.text()).expect("openssl.cnf");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn pin_file(&self) -> PathBuf {
        self.path("pin")
    }

    /// Changes what the PIN file holds.
    pub fn write_pin(&self, pin: &str) {
        token::write_private(&self.pin_file(), &format!("{pin}\n"));
    }

    /// The URI of the key labelled `label`.
    pub fn uri(&self, label: &str) -> String {
        format!("pkcs11:token={};object={label}", self.token.label_in_uri())
    }

    /// Makes keys of these types, labels and ids; the public half of each is in `<label>.pub`.
    pub fn make_keys(&self, keys: &[(KeyType, &str, &str)]) {
        for &(key, label, id) in keys {
            self.token.make_key(key, label, id);
            let public = format!("{label}.pub");
            self.openssl("pkey -in {} -pubout -out {}", &[&self.uri(label), &public])
                .ok();
        }
    }

    /// A program in this bench's directory, with its token and openssl.cnf.
    pub fn run(&self, program: impl AsRef<std::ffi::OsStr>) -> Run {
        let environment = self.token.environment();
        let run = Run::new(program).dir(&self.dir);
        environment
            .iter()
            .fold(run, |run, (name, value)| run.env(name, value))
            .env("OPENSSL_CONF", self.path("openssl.cnf"))
    }

    /// The same as another user, from the start.
    pub fn run_as(&self, user: &str, program: impl AsRef<std::ffi::OsStr>) -> Run {
        self.run("setpriv")
            .args(["--reuid", user, "--regid", user, "--init-groups", "--"])
            .arg(program)
    }

    /// Gives the token, the PIN file and the reference file `key.pem` to the user of a server that
    /// logs in as this user. (See [`Token::share_with`]: what such a process may only read, neither
    /// it nor what it forks lists again.)
    pub fn give_to(&self, user: &str) {
        self.token.give_to(user);
        self.run("chown").args([user, "pin", "key.pem"]).ok();
    }

    /// `openssl` with arguments as in [`Run::words`].
    pub fn openssl(&self, arguments: &str, values: &[&str]) -> Run {
        self.run("openssl").words(arguments, values)
    }

    /// An `openssl s_server` with this key that demands a certificate of the same CA, and its port.
    pub fn demanding_server(&self, key: &str, certificate: &str) -> (u16, Background) {
        let port = free_port();
        let accept = port.to_string();
        let server = self
            .openssl(
                "s_server -accept {} -key {} -cert {} -CAfile {} -Verify 1 -verify_return_error -www",
                &[&accept, key, certificate, certificate],
            )
            .background(Some(&self.path("server.log")));
        wait_for_port(port);
        (port, server)
    }

    /// Writes a certificate for `subject` where [`Self::self_signed`] did.
    pub fn renew(&self, label: &str, subject: &str) {
        self.certify(&self.uri(label), subject, &format!("{label}.crt.pem"));
    }

    /// Writes the reference PEM of the key `label` and a certificate it signed itself; returns
    /// their file names, relative to the bench's directory.
    pub fn self_signed(&self, label: &str) -> (String, String) {
        Site::self_signed(self, &self.uri(label), label)
    }
}
