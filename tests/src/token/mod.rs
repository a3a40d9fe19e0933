//! A SoftHSM token of its own for each test.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::SOFTHSM;
use crate::run::Run;

pub const PIN: &str = "92837465";
pub const SO_PIN: &str = "56473829";

/// An initialised token in a directory that goes away with it.
pub struct Token {
    label: String,
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
    pub fn new(label: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("hwkey-test-")
            .tempdir()
            .expect("a temporary directory");
        // Servers change their user: they may go through, not look around.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        fs::create_dir(dir.path().join("tokens")).expect("tokens");
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            dir.path().join("tokens").display()
        );
        fs::write(dir.path().join("softhsm2.conf"), conf).expect("softhsm2.conf");
        write_private(&dir.path().join("pin"), &format!("{PIN}\n"));
        let token = Self {
            label: label.into(),
            dir,
        };
        token.add(label);
        token
    }

    /// Another token in the same SoftHSM.
    pub fn add(&self, label: &str) {
        self.tool("softhsm2-util")
            .args(["--init-token", "--free", "--label", label])
            .args(["--so-pin", SO_PIN, "--pin", PIN])
            .ok();
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

    /// Lets `group` use what is on the token now, and change nothing. SoftHSM 2.6.1 rewrites
    /// `token.object` at each login if it may, and other processes that read it meanwhile see no
    /// token. (A process whose own login could not rewrite it lists the token no more.)
    pub fn share_with(&self, group: &str) {
        let owner = format!("root:{group}");
        self.tool("chown").args(["-R", &owner, "tokens"]).ok();
        self.tool("chmod").args(["-R", "g=rX", "tokens"]).ok();
        self.tool("find")
            .args(["tokens", "-name", "generation"])
            .args(["-exec", "chmod", "g=rw", "{}", "+"])
            .ok();
    }

    /// pkcs11-tool, logged in to the token `label`.
    pub fn pkcs11_tool(&self, label: &str) -> Run {
        self.tool("pkcs11-tool")
            .args(["--module", SOFTHSM, "--login", "--pin", PIN])
            .args(["--token-label", label])
    }

    /// A PKCS#11 tool: without our openssl.cnf, since SoftHSM uses OpenSSL itself.
    pub fn tool(&self, program: &str) -> Run {
        Run::new(program)
            .dir(self.dir.path())
            .env("SOFTHSM2_CONF", self.conf())
            .env_remove("OPENSSL_CONF")
    }

    pub fn conf(&self) -> PathBuf {
        self.dir.path().join("softhsm2.conf")
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
