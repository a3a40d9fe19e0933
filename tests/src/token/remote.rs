//! A token of another machine: only `p11-kit server` has it, and programs have the server's socket.
//!
//! It is kryoptic's. The server has a process for each connection, and SoftHSM's processes change
//! files under each other's hands.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use super::hardware::{Access, Hardware, tool};
use super::kryoptic::Kryoptic;
use crate::net::wait_until;
use crate::run::{Background, Run};

pub(super) struct Remote {
    dir: PathBuf,
    token: Kryoptic,
    /// It serves the tokens that were there when it started, so it starts with the first.
    server: OnceCell<Background>,
}

impl Remote {
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            token: Kryoptic::new(dir),
            server: OnceCell::new(),
        }
    }

    fn serve(&self, label: &str) -> Background {
        let Access {
            module,
            environment,
        } = self.token.access();
        let server = tool("p11-kit", &self.dir, &environment)
            .args(["server", "--foreground", "--provider"])
            .arg(module)
            .arg("--name")
            .arg(self.socket())
            .arg(format!("pkcs11:token={label}"))
            .background(Some(&self.dir.join("server.log")));
        wait_until("the socket", || self.socket().exists());
        server
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("token.socket")
    }
}

impl Hardware for Remote {
    fn initialise(&self, label: &str) {
        self.token.initialise(label);
        assert!(self.server.get().is_none(), "the server has its token");
        self.server.get_or_init(|| self.serve(label));
    }

    fn access(&self) -> Access {
        let address = format!("unix:path={}", self.socket().display());
        Access {
            module: client(),
            environment: vec![("P11_KIT_SERVER_ADDRESS", address.into())],
        }
    }

    fn tools(&self) -> Access {
        self.token.access()
    }

    /// Who may use the socket may use the token.
    fn share_with(&self, group: &str) {
        let socket = self.socket();
        Run::new("chgrp").arg(group).arg(&socket).ok();
        Run::new("chmod").arg("g=rw").arg(&socket).ok();
    }

    fn files(&self) -> &[&str] {
        &["token.socket"]
    }
}

/// The module that talks to the server.
fn client() -> PathBuf {
    let list = Run::new("dpkg").args(["-L", "p11-kit-modules"]).ok();
    let module = list
        .lines()
        .find(|line| line.ends_with("p11-kit-client.so"));
    module.expect("p11-kit-client.so").into()
}
