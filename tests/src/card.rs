//! A PIV card through the real stack: pcscd, its virtual reader, and a card in software (tests/card)
//! that behaves like a YubiKey; programs use it through OpenSC's or Yubico's PKCS#11 module.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::spy::library;
use crate::token::write_private;
use crate::{Background, Conf, KeyType, PIN, Run, wait_until};

/// The PKCS#11 modules for PIV cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    OpenSc,
    Ykcs11,
}

impl Module {
    pub const ALL: [Self; 2] = [Self::OpenSc, Self::Ykcs11];

    pub fn path(self) -> String {
        library(match self {
            Self::OpenSc => "opensc-pkcs11.so",
            Self::Ykcs11 => "libykcs11.so.2",
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
/// `ca.crt`, are in files too: `9a.crt`.
pub struct Card {
    module: Module,
    _card: Background,
    _pcscd: Background,
    dir: TempDir,
}

/// What is on every new card.
const FACTORY_PIN: &str = "123456";

impl Card {
    /// A card with keys in these slots.
    pub fn new(module: Module, key: KeyType, slots: &[Slot]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("hwkey-test-")
            .tempdir()
            .expect("a temporary directory");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("chmod");
        write_private(&dir.path().join("pin"), &format!("{PIN}\n"));
        let pcscd = pcscd(dir.path());
        let card = Self {
            module,
            _card: inserted(dir.path(), &pcscd),
            _pcscd: pcscd,
            dir,
        };
        card.configure(&card.conf());
        card.issue(key, slots);
        card
    }

    fn issue(&self, key: KeyType, slots: &[Slot]) {
        wait_until("the card", || self.piv_tool("status", &[]).finish().ok);
        self.piv_tool("change-pin", &["-P", FACTORY_PIN, "-N", PIN])
            .ok();
        // Two cards differ in it for OpenSC.
        self.piv_tool("set-chuid", &[]).ok();
        self.tool("openssl")
            .words(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout ca.key \
                 -subj /CN=authority -days 9 -out ca.crt",
                &[],
            )
            .ok();
        for &slot in slots {
            self.make_key(slot, key);
        }
    }

    /// Makes a key and a certificate for it.
    fn make_key(&self, slot: Slot, key: KeyType) {
        let algorithm = match key {
            KeyType::P256 => "ECCP256",
            KeyType::Rsa2048 => "RSA2048",
            KeyType::P384 | KeyType::Curve(_) => panic!("no {key:?} on this card"),
        };
        let name = slot.name();
        let (public, certificate) = (format!("{name}.pub"), format!("{name}.crt"));
        self.piv_tool("generate", &["-s", name, "-A", algorithm, "-o", &public])
            .ok();
        self.tool("openssl")
            .words(
                "x509 -new -force_pubkey {} -subj /CN=card-{} -CA ca.crt -CAkey ca.key -days 9 -out {}",
                &[&public, name, &certificate],
            )
            .ok();
        self.piv_tool("import-certificate", &["-s", name, "-i", &certificate])
            .ok();
    }

    /// How often a wrong PIN may be tried now.
    pub fn tries_left(&self) -> u32 {
        // A card that has the PIN doesn't say, and OpenSC leaves it there.
        self.reset();
        let status = self.piv_tool("status", &[]).ok();
        let tries = status
            .lines()
            .find_map(|line| line.strip_prefix("PIN tries left:"));
        let tries = tries.and_then(|tries| tries.trim().parse().ok());
        tries.unwrap_or_else(|| panic!("no tries in {status}"))
    }

    /// Takes the PIN from the card, as pulling it out would.
    pub fn reset(&self) {
        self.tool("opensc-tool").arg("--reset").ok();
    }

    /// What the module says of the card: such as "token label" or "serial num".
    pub fn token_info(&self, what: &str) -> String {
        let list = self
            .tool("pkcs11-tool")
            .args(["--module", &self.module.path(), "--list-token-slots"])
            .ok();
        let value = list.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == what).then(|| value.trim().to_owned())
        });
        value.unwrap_or_else(|| panic!("no {what} in {list}"))
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

    fn piv_tool(&self, action: &str, options: &[&str]) -> Run {
        let run = self.tool("yubico-piv-tool").args(["-a", action]);
        run.args(options)
    }
}

/// What a test that fails can't tell otherwise.
impl Drop for Card {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for log in ["pcscd.log", "card.log"] {
            let said = fs::read_to_string(self.path(log)).unwrap_or_default();
            println!("{log}: {said}");
        }
    }
}

/// The reader's, in a network of its own.
const PORT: u16 = 35963;

/// Where pcscd listens, in the directory of a test.
const SOCKET: &str = "run/pcscd/pcscd.comm";

/// A pcscd that is nobody else's, with one reader that waits for a card. Where its socket is can be
/// told to its clients, not to itself: it gets a directory of ours for /run. And a network of its own:
/// a port that is free now may be another's when the reader opens it.
fn pcscd(dir: &Path) -> Background {
    let (run, readers) = (dir.join("run"), dir.join("readers"));
    fs::create_dir(&run).expect("run");
    fs::create_dir(&readers).expect("readers");
    // Yubico's module looks at no reader of another name.
    let reader = format!(
        "FRIENDLYNAME \"Yubico YubiKey\"\n\
         DEVICENAME /dev/null:{PORT:#X}\n\
         LIBPATH /usr/lib/pcsc/drivers/serial/libifdvpcd.so\n\
         CHANNELID {PORT:#X}\n"
    );
    fs::write(readers.join("virtual"), reader).expect("a reader");
    let script = "ip link set lo up && mount --bind \"$1\" /run && \
                  exec pcscd --foreground --config \"$2\"";
    let pcscd = Run::new("unshare")
        .args(["--mount", "--net", "--propagation", "private", "--"])
        .args(["sh", "-c", script, "sh"])
        .args([&run, &readers])
        .background(Some(&dir.join("pcscd.log")));
    wait_until("pcscd", || dir.join(SOCKET).exists());
    pcscd
}

/// The card in the reader of `pcscd`.
fn inserted(dir: &Path, pcscd: &Background) -> Background {
    const CURE: &str = "set HWKEY_TEST_CARD to the program that tests/card builds; ci/test builds it \
                        and sets it";
    static SERIAL: AtomicU32 = AtomicU32::new(10_000_001);
    let program = std::env::var_os("HWKEY_TEST_CARD").filter(|program| !program.is_empty());
    let program = PathBuf::from(program.expect(CURE));
    assert!(program.exists(), "{} is missing: {CURE}", program.display());
    Run::new("nsenter")
        .args(["--net", "--target", &pcscd.pid().to_string(), "--"])
        .arg(program)
        .arg(PORT.to_string())
        .arg(SERIAL.fetch_add(1, Ordering::Relaxed).to_string())
        .background(Some(&dir.join("card.log")))
}
