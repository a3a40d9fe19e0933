//! SoftHSM 2.

use std::fs;
use std::path::{Path, PathBuf};

use super::hardware::{Access, Hardware, tool};
use super::{PIN, SO_PIN};
use crate::SOFTHSM;
use crate::run::Run;

pub(super) struct SoftHsm {
    dir: PathBuf,
}

impl SoftHsm {
    pub fn new(dir: &Path) -> Self {
        let tokens = dir.join("tokens");
        fs::create_dir(&tokens).expect("tokens");
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        fs::write(dir.join("softhsm2.conf"), conf).expect("softhsm2.conf");
        Self { dir: dir.into() }
    }

    fn tool(&self, program: &str) -> Run {
        tool(program, &self.dir, &self.access().environment)
    }
}

impl Hardware for SoftHsm {
    fn initialise(&self, label: &str) {
        self.tool("softhsm2-util")
            .args(["--init-token", "--free", "--label", label])
            .args(["--so-pin", SO_PIN, "--pin", PIN])
            .ok();
    }

    fn access(&self) -> Access {
        Access {
            module: SOFTHSM.into(),
            environment: vec![("SOFTHSM2_CONF", self.dir.join("softhsm2.conf").into())],
        }
    }

    /// SoftHSM 2.6.1 rewrites `token.object` at each login if it may, and other processes that read
    /// it meanwhile see no token. (A process whose own login could not rewrite it lists the token no
    /// more.)
    fn share_with(&self, group: &str) {
        let owner = format!("root:{group}");
        self.tool("chown").args(["-R", &owner, "tokens"]).ok();
        self.tool("chmod").args(["-R", "g=rX", "tokens"]).ok();
        self.tool("find")
            .args(["tokens", "-name", "generation"])
            .args(["-exec", "chmod", "g=rw", "{}", "+"])
            .ok();
    }

    fn files(&self) -> &[&str] {
        &["tokens"]
    }
}
