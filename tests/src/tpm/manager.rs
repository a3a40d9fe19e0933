//! tpm2-abrmd before the TPM, on a bus of its own.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::kept::Kept;
use crate::{Run, wait_until};

/// How its clients reach it.
pub const TCTI: &str = "tabrmd:bus_type=session";

/// A running resource manager.
pub struct Manager {
    dir: PathBuf,
    /// The TPM behind it.
    tcti: String,
    process: RefCell<Option<Kept>>,
    _bus: Kept,
}

impl Manager {
    pub fn start(dir: &Path, tcti: &str) -> Self {
        let manager = Self {
            dir: dir.into(),
            tcti: tcti.into(),
            process: RefCell::default(),
            _bus: start_bus(dir),
        };
        manager.restart();
        manager
    }

    /// Kills it if it runs, and starts it.
    pub fn restart(&self) {
        self.process.take();
        // The tests run as root, which it doesn't like. What a killed one left in the TPM it flushes.
        let process = self
            .for_program(Run::new("tpm2-abrmd"))
            .args(["--session", "--allow-root", "--flush-all"])
            .arg(format!("--tcti={}", self.tcti))
            .kept(&self.dir.join("abrmd.log"));
        self.process.replace(Some(process));
        let answers = || {
            let get = self.for_program(Run::new("tpm2")).arg("getcap");
            let get = get.args(["properties-fixed", "--tcti", TCTI]);
            get.finish().ok
        };
        wait_until("the resource manager", answers);
    }

    pub fn for_program(&self, run: Run) -> Run {
        run.env("DBUS_SESSION_BUS_ADDRESS", address(&self.dir))
    }
}

/// A bus for every user: servers under test are not root for long.
fn start_bus(dir: &Path) -> Kept {
    let conf = dir.join("bus.conf");
    let text = format!(
        "<busconfig>\n<type>session</type>\n<listen>{}</listen>\n<auth>EXTERNAL</auth>\n\
         <policy context=\"default\">\n<allow user=\"*\"/>\n<allow own=\"*\"/>\n\
         <allow send_destination=\"*\"/>\n<allow receive_sender=\"*\"/>\n</policy>\n</busconfig>\n",
        address(dir)
    );
    fs::write(&conf, text).expect("bus.conf");
    let bus = Run::new("dbus-daemon")
        .args(["--nofork", "--config-file"])
        .arg(conf)
        .kept(&dir.join("bus.log"));
    wait_until("the bus", || dir.join(SOCKET).exists());
    bus
}

fn address(dir: &Path) -> String {
    format!("unix:path={}", dir.join(SOCKET).display())
}

const SOCKET: &str = "bus";
