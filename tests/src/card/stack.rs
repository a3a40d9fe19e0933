//! What is below a PKCS#11 module for cards: pcscd, its readers, and the cards in them.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Background, Run, wait_until};

/// Where pcscd listens, in the directory of a test.
pub const SOCKET: &str = "run/pcscd/pcscd.comm";

/// The readers that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    First,
    Second,
}

impl Reader {
    /// Its name. Yubico's module looks at no reader of another name.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "Yubico YubiKey 00 00",
            Self::Second => "Yubico YubiKey 00 01",
        }
    }

    /// Where it waits for a card, in a network of its own.
    fn port(self) -> u16 {
        match self {
            Self::First => PORT,
            Self::Second => PORT + 1,
        }
    }
}

const PORT: u16 = 35963;

/// A pcscd that is nobody else's, with two readers. Where its socket is can be told to its clients, not
/// to itself: it gets a directory of ours for /run. And a network of its own: a port that is free now
/// may be another's when the reader opens it.
pub struct Pcscd {
    dir: PathBuf,
    process: RefCell<Option<Background>>,
    /// Keeps the network and the mounts, whatever becomes of pcscd.
    world: Background,
    /// With its end the world ends, and pcscd in it: even if we are killed.
    _lifeline: ChildStdin,
}

impl Pcscd {
    pub fn new(dir: &Path) -> Self {
        let (run, readers) = (dir.join("run"), dir.join("readers"));
        fs::create_dir(&run).expect("run");
        fs::create_dir(&readers).expect("readers");
        // vpcd makes two of it.
        let reader = format!(
            "FRIENDLYNAME \"Yubico YubiKey\"\n\
             DEVICENAME /dev/null:{PORT:#X}\n\
             LIBPATH /usr/lib/pcsc/drivers/serial/libifdvpcd.so\n\
             CHANNELID {PORT:#X}\n"
        );
        fs::write(readers.join("virtual"), reader).expect("a reader");
        let ready = dir.join("ready");
        let script = "ip link set lo up && mount --bind \"$1\" /run && touch \"$2\" && cat && \
                      kill \"$(cat /run/pcscd/pcscd.pid)\"";
        let (world, lifeline) = Run::new("unshare")
            .args(["--mount", "--net", "--propagation", "private", "--"])
            .args(["sh", "-c", script, "sh"])
            .args([&run, &ready])
            .told(&dir.join("world.log"));
        wait_until("mounts of its own", || ready.exists());
        let pcscd = Self {
            dir: dir.into(),
            process: RefCell::default(),
            world,
            _lifeline: lifeline,
        };
        pcscd.start();
        pcscd
    }

    pub fn start(&self) {
        let readers = self.dir.join("readers");
        let process = self
            .inside()
            .args(["pcscd", "--foreground", "--config"])
            .arg(&readers)
            .background(Some(&self.dir.join("pcscd.log")));
        *self.process.borrow_mut() = Some(process);
        wait_until("pcscd", || self.dir.join(SOCKET).exists());
    }

    pub fn stop(&self) {
        let process = self.process.borrow_mut().take().expect("a running pcscd");
        process.signal("TERM");
        process.wait();
    }

    /// A program in its network and mounts.
    fn inside(&self) -> Run {
        let target = self.world.pid().to_string();
        Run::new("nsenter").args(["--mount", "--net", "--target", &target, "--"])
    }
}

/// A card, and the hand that holds it. It is in a reader at first.
pub struct Chip {
    hand: RefCell<ChildStdin>,
    log: PathBuf,
    _process: Background,
}

impl Chip {
    pub fn in_reader(pcscd: &Pcscd, reader: Reader) -> Self {
        const CURE: &str = "set HWKEY_TEST_CARD to the program that tests/card builds; ci/test builds \
                            it and sets it";
        static SERIAL: AtomicU32 = AtomicU32::new(10_000_001);
        let program = std::env::var_os("HWKEY_TEST_CARD").filter(|program| !program.is_empty());
        let program = PathBuf::from(program.expect(CURE));
        assert!(program.exists(), "{} is missing: {CURE}", program.display());
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed).to_string();
        let log = pcscd.dir.join(format!("card-{serial}.log"));
        let (process, hand) = pcscd
            .inside()
            .arg(program)
            .args([&reader.port().to_string(), &serial])
            .told(&log);
        Self {
            hand: RefCell::new(hand),
            log,
            _process: process,
        }
    }

    pub fn remove(&self) {
        self.tell("remove");
    }

    pub fn insert(&self) {
        self.tell("insert");
    }

    /// From now on it waits for a touch before it signs, so long.
    pub fn demand_touch(&self, seconds: u32) {
        self.tell(&format!("demand-touch {seconds}"));
    }

    pub fn touch(&self) {
        self.tell("touch");
    }

    /// How often it has begun to wait for a touch.
    pub fn waits_for_touch(&self) -> usize {
        self.log().matches("waiting for a touch").count()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn tell(&self, command: &str) {
        writeln!(self.hand.borrow_mut(), "{command}").expect("the card has ended");
    }
}
