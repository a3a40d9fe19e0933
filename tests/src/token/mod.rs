//! A token of its own for each test.

mod hardware;
mod kryoptic;
mod remote;
mod softhsm;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::run::Run;
use hardware::{Access, Hardware};

pub use hardware::Kind;

pub const PIN: &str = "92837465";
pub const SO_PIN: &str = "56473829";

/// An initialised token in a directory that goes away with it.
pub struct Token {
    label: String,
    /// Before its directory.
    hardware: Box<dyn Hardware>,
    dir: TempDir,
}

/// What pkcs11-tool can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    P256,
    P384,
    Rsa2048,
    /// Any curve, by the name that pkcs11-tool knows.
    Curve(&'static str),
}

impl KeyType {
    /// Those that every program is tried with.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::Rsa2048];

    fn option(self) -> String {
        match self {
            Self::P256 => "EC:prime256v1".into(),
            Self::P384 => "EC:secp384r1".into(),
            Self::Rsa2048 => "rsa:2048".into(),
            Self::Curve(name) => format!("EC:{name}"),
        }
    }
}

impl Token {
    pub fn new(kind: Kind, label: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("hwkey-test-")
            .tempdir()
            .expect("a temporary directory");
        // Servers change their user: they may go through, not look around.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        write_private(&dir.path().join("pin"), &format!("{PIN}\n"));
        let token = Self {
            label: label.into(),
            hardware: kind.hardware(dir.path()),
            dir,
        };
        token.add(label);
        token
    }

    /// Another token in the same module.
    pub fn add(&self, label: &str) {
        self.hardware.initialise(label);
    }

    /// Makes a key pair with the given id.
    pub fn make_key(&self, key: KeyType, label: &str, id: &str) {
        self.make_key_on(&self.label, key, label, id, &["--usage-sign"]);
    }

    /// The same on a token added by [`Self::add`], with other options of pkcs11-tool.
    pub fn make_key_on(&self, token: &str, key: KeyType, label: &str, id: &str, options: &[&str]) {
        self.pkcs11_tool(token)
            .args(["--keypairgen", "--key-type", &key.option()])
            .args(["--label", label, "--id", id])
            .args(options)
            .ok();
    }

    /// Writes a certificate in DER to the token.
    pub fn write_certificate(&self, file: &Path, label: &str, id: &str) {
        self.pkcs11_tool(&self.label)
            .args(["--write-object".as_ref(), file.as_os_str()])
            .args(["--type", "cert", "--label", label, "--id", id])
            .ok();
    }

    /// What is on the token, one line for each fact about each object, in no particular order.
    pub fn objects(&self) -> Vec<String> {
        let list = self.pkcs11_tool(&self.label).arg("--list-objects").ok();
        let mut facts: Vec<String> = list.lines().map(str::to_owned).collect();
        facts.sort_unstable();
        facts
    }

    /// Of the token `label`, as softhsm2-util shows it.
    pub fn serial(&self, label: &str) -> String {
        let slots = self.tool("softhsm2-util").arg("--show-slots").ok();
        let mut serial = "";
        for line in slots.lines() {
            match line.split_once(':') {
                Some((name, value)) if name.trim() == "Serial number" => serial = value.trim(),
                Some((name, value)) if name.trim() == "Label" && value.trim() == label => {
                    return serial.to_owned();
                }
                _ => {}
            }
        }
        panic!("no token {label} in {slots}");
    }

    /// Lets `group` use what is on the token now, and change nothing.
    pub fn share_with(&self, group: &str) {
        self.hardware.share_with(group);
    }

    /// Makes `user` the owner of all that programs need of the token.
    pub fn give_to(&self, user: &str) {
        let files = self.hardware.files();
        self.tool("chown").args(["-R", user]).args(files).ok();
    }

    /// pkcs11-tool, logged in to the token `label`.
    pub fn pkcs11_tool(&self, label: &str) -> Run {
        let Access { module, .. } = self.hardware.tools();
        self.tool("pkcs11-tool").arg("--module").arg(module).args([
            "--login",
            "--pin",
            PIN,
            "--token-label",
            label,
        ])
    }

    /// A PKCS#11 tool beside the token: without our openssl.cnf, since tokens use OpenSSL themselves.
    pub fn tool(&self, program: &str) -> Run {
        let Access { environment, .. } = self.hardware.tools();
        hardware::tool(program, self.dir.path(), &environment)
    }

    /// The module that programs load.
    pub fn module(&self) -> PathBuf {
        self.hardware.access().module
    }

    /// What the module reads from the environment of programs.
    pub fn environment(&self) -> Vec<(&'static str, std::ffi::OsString)> {
        self.hardware.access().environment
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn label(&self) -> &str {
        &self.label
    }

    pub fn label_in_uri(&self) -> String {
        self.label.bytes().fold(String::new(), |uri, byte| {
            if byte.is_ascii_alphanumeric() || byte == b'-' {
                uri + std::str::from_utf8(&[byte]).expect("ASCII")
            } else {
                uri + &format!("%{byte:02X}")
            }
        })
    }
}

/// A file that only its owner can read.
pub fn write_private(path: &Path, text: &str) {
    let mut options = fs::OpenOptions::new();
    let file = options.create(true).write(true).truncate(true).mode(0o600);
    let mut file = file.open(path).expect("a private file");
    file.write_all(text.as_bytes()).expect("a private file");
}
