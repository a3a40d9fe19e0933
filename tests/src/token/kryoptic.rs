//! kryoptic, a token written in Rust, with its objects in SQLite.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::hardware::{Access, Hardware, tool};
use super::{PIN, SO_PIN};
use crate::run::Run;

pub(super) struct Kryoptic {
    dir: PathBuf,
}

impl Kryoptic {
    pub fn new(dir: &Path) -> Self {
        // Where it was built, servers that have changed their user may not go.
        fs::copy(built(), dir.join("kryoptic.so")).expect("kryoptic.so");
        fs::create_dir(dir.join("tokens")).expect("tokens");
        fs::write(dir.join("kryoptic.conf"), "").expect("kryoptic.conf");
        Self { dir: dir.into() }
    }

    fn tool(&self, program: &str) -> Run {
        tool(program, &self.dir, &self.access().environment)
    }

    /// One more slot, with a token that is not initialised.
    fn add_slot(&self) -> String {
        let conf = self.dir.join("kryoptic.conf");
        let slots = fs::read_to_string(&conf).expect("kryoptic.conf");
        let number = slots.matches("[[slots]]").count();
        let file = self.dir.join(format!("tokens/{number}.sql"));
        let mut conf = OpenOptions::new().append(true).open(conf).expect("conf");
        writeln!(
            conf,
            "[[slots]]\nslot = {number}\ndbtype = \"sqlite\"\ndbargs = \"{}\"",
            file.display()
        )
        .expect("kryoptic.conf");
        number.to_string()
    }
}

impl Hardware for Kryoptic {
    fn initialise(&self, label: &str) {
        let slot = self.add_slot();
        let tool = || {
            let run = self.tool("pkcs11-tool").args(["--module", "./kryoptic.so"]);
            run.args(["--slot", &slot, "--so-pin", SO_PIN])
        };
        tool().args(["--init-token", "--label", label]).ok();
        tool()
            .args(["--login", "--login-type", "so"])
            .args(["--init-pin", "--new-pin", PIN])
            .ok();
    }

    fn access(&self) -> Access {
        Access {
            module: self.dir.join("kryoptic.so"),
            environment: vec![("KRYOPTIC_CONF", self.dir.join("kryoptic.conf").into())],
        }
    }

    fn share_with(&self, group: &str) {
        let owner = format!("root:{group}");
        self.tool("chown").args(["-R", &owner, "tokens"]).ok();
        self.tool("chmod").args(["-R", "g=rX,o=", "tokens"]).ok();
    }

    fn files(&self) -> &[&str] {
        &["tokens"]
    }
}

fn built() -> PathBuf {
    const CURE: &str = "set HWKEY_TEST_KRYOPTIC to kryoptic's libkryoptic_pkcs11.so; ci/test builds \
                        one and sets it";
    let module = std::env::var_os("HWKEY_TEST_KRYOPTIC").filter(|module| !module.is_empty());
    let module = PathBuf::from(module.expect(CURE));
    assert!(module.exists(), "{} is missing: {CURE}", module.display());
    module
}
