//! A TPM in software for one test, and requests to it.

// Each file of tests needs some of it.
#![allow(dead_code)]

mod forked;
mod verified;
pub mod wire;

#[allow(unused_imports)]
pub use forked::{fork, succeeded};
#[allow(unused_imports)]
pub use verified::{public_key, verifies};

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use hwkey_tpm2::answer;
use openssl::sha::sha256;
use tpm2_abi::{
    Area, Created, Hierarchy, Input, Object, Outcome, Parent, Reply, Request, Saved, Secret,
    SignScheme, Source, Task, Template,
};

pub const SHA256: u16 = 0x0b;
pub const P256: Template = Template::Ecc { curve: 3 };
pub const ECDSA: SignScheme = SignScheme::Ecdsa { hash: SHA256 };
pub const OWNER: Parent = Parent::Primary {
    hierarchy: Hierarchy::Owner,
    rsa: false,
};

/// libtss2's sockets to a swtpm are not close-on-exec, and a swtpm waits until the one that it has is
/// closed everywhere: no program is started while a command is under way.
static STARTING: RwLock<()> = RwLock::new(());

/// A running swtpm; stopped and removed when dropped.
pub struct Tpm {
    directory: PathBuf,
    port: u16,
    process: Child,
}

impl Tpm {
    pub fn start() -> Self {
        let port = free_ports();
        let directory =
            std::env::temp_dir().join(format!("hwkey-tpm2-{}-{port}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let process = run(&directory, port);
        Self {
            directory,
            port,
            process,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.process = run(&self.directory, self.port);
    }

    pub fn ask(&self, task: Task) -> Reply {
        let _nobody_starts = STARTING.read().unwrap_or_else(PoisonError::into_inner);
        answer(Request {
            tcti: self.tcti(),
            task,
        })
    }

    pub fn create(&self, template: Template, auth: &[u8]) -> Created {
        let reply = self.ask(Task::Create {
            parent: OWNER,
            parent_auth: Secret::default(),
            template,
            auth: Secret::copied(auth),
        });
        match reply.unwrap() {
            Outcome::Created(created) => created,
            _ => panic!("another outcome"),
        }
    }

    pub fn inspect(&self, object: &Object) -> Area {
        let object = object.clone();
        match self.ask(Task::Inspect { object }).unwrap() {
            Outcome::Inspected { area, .. } => area,
            _ => panic!("another outcome"),
        }
    }

    pub fn sign(&self, object: &Object, digest: &[u8]) -> Result<Vec<u8>, tpm2_abi::Failure> {
        let reply = self.ask(Task::Sign {
            object: object.clone(),
            scheme: ECDSA,
            input: Input::Digest(digest.to_vec()),
        });
        reply.map(bytes)
    }

    /// A key signs, and OpenSSL verifies it; the key's public area.
    pub fn signs(&self, key: &Object) -> Area {
        let digest = sha256(b"message");
        let area = self.inspect(key);
        let signature = self.sign(key, &digest).unwrap();
        assert!(verifies(&area, ECDSA, &digest, &signature));
        area
    }

    /// tpm2-tools, which must succeed; what it prints.
    pub fn tool(&self, command: &str) -> String {
        let (program, arguments) = command.split_once(' ').unwrap();
        let mut command_line = Command::new(program);
        command_line
            .args(arguments.split(' '))
            .env("TPM2TOOLS_TCTI", self.tcti())
            .env_remove("OPENSSL_CONF")
            .current_dir(&self.directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = start(command_line);
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{command}: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    pub fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.directory.join(file)).unwrap()
    }

    pub fn write(&self, file: &str, content: &[u8]) {
        fs::write(self.directory.join(file), content).unwrap();
    }

    /// A key that tpm2-tools make and make persistent.
    pub fn persistent(&self, algorithm: &str, auth: &str) -> Object {
        // It starts the TPM up.
        self.ask(Task::Describe).unwrap();
        let auth_option = match auth {
            "" => String::new(),
            auth => format!(" -p {auth}"),
        };
        for command in [
            "tpm2_createprimary -c primary.ctx",
            &format!(
                "tpm2_create -C primary.ctx -G {algorithm} -u key.pub -r key.priv{auth_option}"
            ),
            "tpm2_load -C primary.ctx -u key.pub -r key.priv -c key.ctx",
            "tpm2_evictcontrol -c key.ctx 0x81000001",
        ] {
            self.tool(command);
            self.tool("tpm2_flushcontext -t");
        }
        object(Source::Persistent(0x8100_0001), auth.as_bytes())
    }

    /// Objects and sessions that are in the slots.
    pub fn loaded(&self) -> String {
        let transient = self.tool("tpm2_getcap handles-transient");
        transient + &self.tool("tpm2_getcap handles-loaded-session")
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

pub fn wrapped(created: &Created, auth: &[u8]) -> Object {
    object(
        Source::Wrapped {
            parent: OWNER,
            public: created.public.clone(),
            private: created.private.clone(),
            secret: None,
            policy: Vec::new(),
        },
        auth,
    )
}

pub fn object(source: Source, auth: &[u8]) -> Object {
    Object {
        name: None,
        source,
        auth: Secret::copied(auth),
        parent_auth: Secret::default(),
    }
}

pub fn bytes(outcome: Outcome) -> Vec<u8> {
    match outcome {
        Outcome::Bytes(bytes) => bytes,
        Outcome::Secret(secret) => secret.to_vec(),
        _ => panic!("another outcome"),
    }
}

/// tpm2-tools' file: a magic number, a version, then TPMS_CONTEXT's fields.
pub fn saved(file: &[u8]) -> Saved {
    let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
    Saved {
        hierarchy: number(8),
        handle: number(12),
        sequence: u64::from(number(16)) << 32 | u64::from(number(20)),
        blob: file[26..].to_vec(),
    }
}

/// swtpm's own port and the next one, for its control channel.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let offset = NEXT.fetch_add(2, Ordering::Relaxed);
        // Below those that the system gives to whoever connects.
        let port = 12000 + ((std::process::id() % 200) as u16 * 100 + offset) % 20000;
        let both = [port, port + 1].map(|port| TcpListener::bind(("127.0.0.1", port)));
        if both.iter().all(Result::is_ok) {
            return port;
        }
    }
}

fn run(directory: &std::path::Path, port: u16) -> Child {
    let mut command = Command::new("swtpm");
    command
        .args(["socket", "--tpm2", "--flags", "not-need-init"])
        .args(["--tpmstate", &format!("dir={}", directory.display())])
        .args(["--server", &format!("type=tcp,port={port}")])
        .args(["--ctrl", &format!("type=tcp,port={}", port + 1)])
        .env_remove("OPENSSL_CONF")
        .stderr(Stdio::null());
    let mut process = start(command);
    let deadline = Instant::now() + Duration::from_secs(20);
    let is_up = |port| TcpStream::connect(("127.0.0.1", port)).is_ok();
    while !(is_up(port) && is_up(port + 1)) {
        let ended = process.try_wait().unwrap();
        assert!(
            ended.is_none() && Instant::now() < deadline,
            "swtpm: {ended:?}"
        );
        std::thread::yield_now();
    }
    process
}

pub fn start(mut command: Command) -> Child {
    let _nobody_asks = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn().expect("swtpm and tpm2-tools are installed")
}
