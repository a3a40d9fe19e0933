//! A TPM 2.0 in software: swtpm, with or without a resource manager before it, and what other people's
//! tools do with it.

mod file;
mod gateway;
mod keys;
mod made;
mod manager;
mod relay;

use std::cell::RefCell;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

pub use file::{KeyFile, Kind as KeyFileKind, USUAL as USUAL_KEY_FILE};
pub use gateway::Gateway;
pub use keys::{Algorithm, Parent, TpmKey};
use manager::Manager;
pub use relay::Relay;

use crate::kept::Kept;
use crate::{Run, wait_for_port};

/// A TPM of its own, for one test.
pub struct Tpm {
    dir: PathBuf,
    port: u16,
    process: RefCell<Option<Kept>>,
    manager: Option<Manager>,
}

impl Tpm {
    /// A new TPM, with its state and the files of its keys in `dir`. Programs reach it directly: it has
    /// three places for objects and three for sessions, for all of them.
    pub fn start(dir: &Path) -> Self {
        fs::create_dir(dir.join(STATE)).expect("a directory for the TPM");
        let tpm = Self {
            dir: dir.into(),
            port: two_ports(),
            process: RefCell::default(),
            manager: None,
        };
        tpm.go_on();
        // Enough for tests that don't count them: three lock a new TPM for hours.
        tpm.allow_tries(1000);
        tpm
    }

    /// The same behind a resource manager, which gives each connection places of its own.
    pub fn managed(dir: &Path) -> Self {
        let tpm = Self::start(dir);
        let manager = Manager::start(dir, &tpm.direct_tcti());
        Self {
            manager: Some(manager),
            ..tpm
        }
    }

    /// Both, for what has to work with each.
    pub const KINDS: [fn(&Path) -> Self; 2] = [Self::start, Self::managed];

    /// Kills it: unlike a clean end this may count as a wrong authorisation (TPM_PT_LOCKOUT_COUNTER).
    pub fn stop(&self) {
        self.process.take().expect("a running swtpm");
    }

    /// Starts it again, where it was and with what it holds.
    pub fn go_on(&self) {
        let state = self.dir.join(STATE);
        let process = Run::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", state.display()))
            .args(["--server", &format!("type=tcp,port={}", self.port)])
            .args(["--ctrl", &format!("type=tcp,port={}", self.port + 1)])
            .kept(&self.dir.join("tpm.log"));
        wait_for_port(self.port + 1);
        let running = self.process.replace(Some(process));
        assert!(running.is_none(), "swtpm was running");
    }

    /// Kills it, and the resource manager that has lost it, and starts them again.
    pub fn restart(&self) {
        self.stop();
        self.go_on();
        self.restart_manager();
    }

    /// The same of the resource manager alone, if there is one.
    pub fn restart_manager(&self) {
        if let Some(manager) = &self.manager {
            manager.restart();
        }
    }

    /// Lets it answer nobody until `SIGCONT`, or sends it another signal.
    pub fn signal(&self, name: &str) {
        let process = self.process.borrow();
        process.as_ref().expect("a running swtpm").signal(name);
    }

    /// How programs reach it, as tss2 writes it.
    pub fn tcti(&self) -> String {
        match &self.manager {
            Some(_) => manager::TCTI.into(),
            None => self.direct_tcti(),
        }
    }

    /// Past the resource manager.
    pub fn direct_tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// A program that is to reach this TPM.
    pub fn for_program(&self, run: Run) -> Run {
        let run = match &self.manager {
            Some(manager) => manager.for_program(run),
            None => run,
        };
        run.env("TPM2OPENSSL_TCTI", self.tcti())
    }

    /// A tool of tpm2-tools, such as "createprimary", with arguments as in [`Run::words`].
    pub fn tpm2(&self, arguments: &str, values: &[&str]) -> Run {
        self.tool("tpm2")
            .env("TPM2TOOLS_TCTI", self.tcti())
            .words(arguments, values)
    }

    /// The same past the resource manager, to look at what it holds.
    fn tpm2_directly(&self, arguments: &str, values: &[&str]) -> Run {
        self.tpm2(arguments, values)
            .env("TPM2TOOLS_TCTI", self.direct_tcti())
    }

    /// `openssl` with tpm2-openssl instead of hwkey. Debian 12's version has to be asked for by property.
    pub fn openssl(&self, command: &str, arguments: &str, values: &[&str]) -> Run {
        self.tool("openssl")
            .args([command, "-provider", "tpm2", "-provider", "default"])
            .args(["-propquery", "?provider=tpm2"])
            .words(arguments, values)
    }

    /// A program beside hwkey: without our openssl.cnf, since tools use OpenSSL themselves.
    fn tool(&self, program: &str) -> Run {
        self.for_program(Run::new(program)).dir(&self.dir)
    }

    /// The handles of objects and sessions that are loaded in the TPM now, for whomever.
    pub fn loaded(&self) -> Vec<String> {
        ["handles-transient", "handles-loaded-session"]
            .iter()
            .flat_map(|handles| {
                let list = self.tpm2_directly("getcap {}", &[handles]).ok();
                let handles = list.lines().filter_map(|line| line.strip_prefix("- "));
                handles.map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    }

    /// From now on so many wrong authorisations lock it. None is forgiven during a test.
    pub fn allow_tries(&self, tries: u32) {
        let tries = tries.to_string();
        self.tpm2(
            "dictionarylockout --setup-parameters --max-tries={} --recovery-time=86400 \
             --lockout-recovery-time=0",
            &[&tries],
        )
        .ok();
    }

    /// How many wrong authorisations are counted.
    pub fn tries_spent(&self) -> u32 {
        self.property("TPM2_PT_LOCKOUT_COUNTER")
    }

    pub fn tries_left(&self) -> u32 {
        self.property("TPM2_PT_MAX_AUTH_FAIL")
            .saturating_sub(self.tries_spent())
    }

    /// Forgives them.
    pub fn unlock(&self) {
        self.tpm2("dictionarylockout --clear-lockout", &[]).ok();
    }

    /// One of TPM_PT_VAR.
    fn property(&self, name: &str) -> u32 {
        let list = self.tpm2_directly("getcap properties-variable", &[]).ok();
        let mut lines = list.lines().filter_map(|line| line.split_once(": 0x"));
        let value = lines.find_map(|(known, value)| (known == name).then_some(value));
        let value = value.and_then(|value| u32::from_str_radix(value, 16).ok());
        value.unwrap_or_else(|| panic!("no {name} in {list}"))
    }
}

const STATE: &str = "tpm";

/// Two ports that nobody uses, one after the other. They are below those that the kernel gives to
/// clients, so that nobody gets them while the TPM is down.
fn two_ports() -> u16 {
    loop {
        let random = RandomState::new().build_hasher().finish();
        let port = 20_000 + (random % 6_000) as u16 * 2;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 1) {
            return port;
        }
    }
}
