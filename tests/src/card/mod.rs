//! A PIV card through the real stack: pcscd, its virtual reader, and a card in software (tests/card)
//! that behaves like a YubiKey; programs use it through OpenSC's or Yubico's PKCS#11 module.

mod stack;

use std::fmt::{self, Display, Formatter};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

pub use stack::{Chip, Reader};
use tempfile::TempDir;

use crate::spy::library;
use crate::token::write_private;
use crate::{Conf, KeyType, PIN, Run, wait_until};
use stack::{Pcscd, SOCKET};

/// The PKCS#11 modules for PIV cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    OpenSc,
    Ykcs11,
}

impl Module {
    pub const ALL: [Self; 2] = [Self::OpenSc, Self::Ykcs11];

    /// Its version: the first two numbers.
    pub fn version(self) -> String {
        let package = match self {
            Self::OpenSc => "opensc-pkcs11",
            Self::Ykcs11 => "ykcs11",
        };
        let query = ["--show", "--showformat", "${Version}", package];
        let version = Run::new("dpkg-query").args(query).ok();
        let numbers: Vec<&str> = version.split(['.', '-']).take(2).collect();
        numbers.join(".")
    }

    pub fn path(self) -> String {
        library(match self {
            Self::OpenSc => "opensc-pkcs11.so",
            Self::Ykcs11 => "libykcs11.so.2",
        })
    }
}

/// As its makers write it.
impl Display for Module {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenSc => "OpenSC",
            Self::Ykcs11 => "ykcs11",
        })
    }
}

/// Where a PIV card has its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// For logins: what TLS uses.
    Authentication,
    /// For documents: asks for the PIN at each signature.
    Signature,
    /// For decryption.
    KeyManagement,
    /// For doors: asks for no PIN.
    CardAuthentication,
}

impl Slot {
    pub const ALL: [Self; 4] = [
        Self::Authentication,
        Self::Signature,
        Self::KeyManagement,
        Self::CardAuthentication,
    ];

    /// Its name on the card and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authentication => "9a",
            Self::Signature => "9c",
            Self::KeyManagement => "9d",
            Self::CardAuthentication => "9e",
        }
    }

    /// The id that both modules give it, as in a URI.
    pub fn id(self) -> &'static str {
        match self {
            Self::Authentication => "%01",
            Self::Signature => "%02",
            Self::KeyManagement => "%03",
            Self::CardAuthentication => "%04",
        }
    }
}

/// A card in a reader of its own, with an openssl.cnf for it. Its certificates, of the authority
/// `ca.crt`, are in files too: `9a.crt`, and its public keys: `9a.pub`.
pub struct Card {
    pub chip: Chip,
    pub module: Module,
    pcscd: Pcscd,
    dir: TempDir,
}

/// What every new card has.
pub const FACTORY_PIN: &str = "123456";
pub const PUK: &str = "12345678";

impl Card {
    /// A card with keys in these slots.
    pub fn new(module: Module, key: KeyType, slots: &[Slot]) -> Self {
        let card = Self::unused(module);
        card.tool("openssl")
            .words(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout ca.key \
                 -subj /CN=authority -days 9 -out ca.crt",
                &[],
            )
            .ok();
        card.issue(Reader::First, "", key, slots);
        card
    }

    /// A card as it is sold.
    pub fn unused(module: Module) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("hwkey-test-")
            .tempdir()
            .expect("a temporary directory");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("chmod");
        write_private(&dir.path().join("pin"), &format!("{PIN}\n"));
        let pcscd = Pcscd::new(dir.path());
        let card = Self {
            chip: Chip::in_reader(&pcscd, Reader::First),
            module,
            pcscd,
            dir,
        };
        card.configure(&card.conf());
        card.wait_for_cards(1);
        card
    }

    /// Another card with the same PIN in this reader, which has to be empty. Its public keys and
    /// certificates are in `other-9a.pub` and `other-9a.crt`.
    pub fn another(&self, reader: Reader, key: KeyType, slots: &[Slot]) -> Chip {
        let chip = Chip::in_reader(&self.pcscd, reader);
        self.issue(reader, OTHER, key, slots);
        chip
    }

    fn issue(&self, reader: Reader, files: &str, key: KeyType, slots: &[Slot]) {
        let status = || self.piv_tool(reader, "status", &[]).finish().ok;
        wait_until("the card", status);
        self.piv_tool(reader, "change-pin", &["-P", FACTORY_PIN, "-N", PIN])
            .ok();
        // Two cards differ in it for OpenSC.
        self.piv_tool(reader, "set-chuid", &[]).ok();
        for &slot in slots {
            self.make_key(reader, files, slot, key);
        }
    }

    /// Makes a key and a certificate for it.
    fn make_key(&self, reader: Reader, files: &str, slot: Slot, key: KeyType) {
        let algorithm = match key {
            KeyType::P256 => "ECCP256",
            KeyType::Rsa2048 => "RSA2048",
            KeyType::P384 | KeyType::Curve(_) => panic!("no {key:?} on this card"),
        };
        let name = slot.name();
        let (public, certificate) = (format!("{files}{name}.pub"), format!("{files}{name}.crt"));
        let options = ["-s", name, "-A", algorithm, "-o", &public];
        self.piv_tool(reader, "generate", &options).ok();
        self.tool("openssl")
            .words(
                "x509 -new -force_pubkey {} -subj /CN=card-{} -CA ca.crt -CAkey ca.key -days 9 -out {}",
                &[&public, name, &certificate],
            )
            .ok();
        let options = ["-s", name, "-i", &certificate];
        self.piv_tool(reader, "import-certificate", &options).ok();
    }

    /// Waits until this many cards are seen in the readers.
    pub fn wait_for_cards(&self, count: usize) {
        let seen = || {
            let list = self.tool("opensc-tool").arg("--list-readers").finish();
            let cards = list.stdout.lines().filter(|line| line.contains(" Yes "));
            cards.count() == count
        };
        wait_until("cards in the readers", seen);
    }

    /// Takes the card out of its reader.
    pub fn remove(&self) {
        self.chip.remove();
        self.wait_for_cards(0);
    }

    /// Puts it back.
    pub fn insert(&self) {
        self.chip.insert();
        self.wait_for_cards(1);
    }

    pub fn stop_pcscd(&self) {
        self.pcscd.stop();
    }

    pub fn start_pcscd(&self) {
        self.pcscd.start();
        self.wait_for_cards(1);
    }

    /// How often a wrong PIN may be tried now.
    pub fn tries_left(&self) -> u32 {
        // A card that has the PIN doesn't say, and OpenSC leaves it there.
        self.reset();
        let status = self.piv_tool(Reader::First, "status", &[]).ok();
        let tries = status
            .lines()
            .find_map(|line| line.strip_prefix("PIN tries left:"));
        let tries = tries.and_then(|tries| tries.trim().parse().ok());
        tries.unwrap_or_else(|| panic!("no tries in {status}"))
    }

    /// Spends a try, as a user at another terminal.
    pub fn spend_try(&self) {
        self.piv_tool(Reader::First, "verify-pin", &["-P", "000000"])
            .fails();
    }

    /// Sets another PIN.
    pub fn change_pin(&self, old: &str, new: &str) {
        self.piv_tool(Reader::First, "change-pin", &["-P", old, "-N", new])
            .ok();
    }

    /// Sets the PIN of a locked card.
    pub fn unblock(&self, pin: &str) {
        self.piv_tool(Reader::First, "unblock-pin", &["-P", PUK, "-N", pin])
            .ok();
    }

    /// From now on the card waits for a touch before it signs, just long enough for its refusal to be
    /// taken for that. (A YubiKey waits 15 seconds.) OpenSC 0.23 takes the refusal for a lost login, and
    /// makes the card wait twice or more.
    pub fn demand_touch(&self) {
        self.chip.demand_touch(match self.module {
            Module::OpenSc => 3,
            Module::Ykcs11 => 6,
        });
    }

    /// Takes the PIN from the card, as pulling it out would.
    pub fn reset(&self) {
        self.tool("opensc-tool").arg("--reset").ok();
    }

    /// What the module says of the cards, in the order of the readers: such as "token label" or
    /// "serial num".
    pub fn tokens_info(&self, what: &str) -> Vec<String> {
        let list = self
            .tool("pkcs11-tool")
            .args(["--module", &self.module.path(), "--list-token-slots"])
            .ok();
        let values = list.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == what).then(|| value.trim().to_owned())
        });
        values.collect()
    }

    /// The same of the only card.
    pub fn token_info(&self, what: &str) -> String {
        let values = self.tokens_info(what);
        let [value] = &values[..] else {
            panic!("{what}: {values:?}");
        };
        value.clone()
    }

    /// The usual openssl.cnf: default first, hwkey with the module and the PIN file.
    pub fn conf(&self) -> Conf {
        let pin = self.path("pin");
        Conf::new()
            .option("pkcs11-module-path", &self.module.path())
            .option("pin-source", &format!("file:{}", pin.display()))
    }

    /// Writes `conf` to where the programs of this card read it.
    pub fn configure(&self, conf: &Conf) {
        fs::write(self.path("openssl.cnf"), conf.text()).expect("openssl.cnf");
    }

    /// Changes what the PIN file holds.
    pub fn write_pin(&self, pin: &str) {
        write_private(&self.path("pin"), &format!("{pin}\n"));
    }

    /// A program that answers with the card's PIN, for `pin-prompt`; it counts how often it is asked.
    pub fn askpass(&self) -> String {
        let path = self.path("askpass");
        let script = format!("#!/bin/sh\necho asked >> asked\necho {PIN}\n");
        fs::write(&path, script).expect("askpass");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("chmod");
        path.display().to_string()
    }

    pub fn times_asked(&self) -> usize {
        let asked = fs::read_to_string(self.path("asked")).unwrap_or_default();
        asked.lines().count()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program in the card's directory, with the card and openssl.cnf.
    pub fn run(&self, program: impl AsRef<std::ffi::OsStr>) -> Run {
        let conf = self.path("openssl.cnf");
        self.tool(program).env("OPENSSL_CONF", conf)
    }

    /// `openssl` with arguments as in [`Run::words`].
    pub fn openssl(&self, arguments: &str, values: &[&str]) -> Run {
        self.run("openssl").words(arguments, values)
    }

    /// A program beside hwkey: without our openssl.cnf.
    pub fn tool(&self, program: impl AsRef<std::ffi::OsStr>) -> Run {
        Run::new(program)
            .dir(self.dir.path())
            .env("PCSCLITE_CSOCK_NAME", self.path(SOCKET))
    }

    fn piv_tool(&self, reader: Reader, action: &str, options: &[&str]) -> Run {
        let run = self.tool("yubico-piv-tool");
        run.args(["-r", reader.name(), "-a", action]).args(options)
    }
}

/// The beginning of the names of the second card's files.
const OTHER: &str = "other-";

/// What a test that fails can't tell otherwise.
impl Drop for Card {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let pcscd = fs::read_to_string(self.path("pcscd.log")).unwrap_or_default();
        println!("pcscd: {pcscd}\ncard: {}", self.chip.log());
    }
}
