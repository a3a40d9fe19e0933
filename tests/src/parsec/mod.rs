//! A Parsec service with its providers, and programs that have its keys through hwkey.

mod hardware;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::kept::Kept;
use crate::{Conf, Finished, Run, Site, Steps, helper, wait_until};
use hardware::Hardware;

pub use hardware::ParsecProvider;

/// Who the service runs as: it refuses to be root.
const SERVICE_USER: &str = "nobody";

/// Whoever is neither root nor the service.
pub const SOMEBODY: &str = "daemon";

/// A service of its own, an openssl.cnf that says where it is, and a directory.
pub struct Parsec {
    /// They end before what they use.
    service: RefCell<Option<Kept>>,
    hardware: Hardware,
    authenticator: RefCell<String>,
    dir: TempDir,
}

impl Parsec {
    /// With these providers, the first one first. It knows its clients by their user.
    pub fn new(providers: &[ParsecProvider]) -> Self {
        let dir = tempfile::Builder::new().prefix("hwkey-test-").tempdir();
        let dir = dir.expect("a temporary directory");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("chmod");
        fs::write(dir.path().join("message"), "to whom it may concern").expect("message");
        fs::create_dir(dir.path().join(SERVICE)).expect("a directory for the service");
        for program in ["parsec", "parsec-tool"] {
            fs::copy(built(program), dir.path().join(program)).expect("a program of Parsec");
        }
        let parsec = Self {
            service: RefCell::default(),
            hardware: Hardware::new(dir.path(), providers),
            authenticator: RefCell::new("UnixPeerCredentials".into()),
            dir,
        };
        parsec.configure(&parsec.conf());
        parsec.go_on();
        parsec
    }

    /// The same with the keys of one application in a service that knows it by name.
    pub fn direct(providers: &[ParsecProvider]) -> Self {
        let parsec = Self::new(providers);
        parsec.stop();
        parsec.know_clients_by("Direct");
        parsec.go_on();
        parsec
    }

    fn give_to_service(&self, files: &[&str]) {
        let run = Run::new("chown").dir(self.dir.path());
        run.args(["-R", SERVICE_USER]).args(files).ok();
    }

    /// Writes the service's config.toml, and starts it.
    pub fn go_on(&self) {
        fs::write(self.path("config.toml"), self.config()).expect("config.toml");
        self.give_to_service(&["config.toml", SERVICE]);
        let run = Run::new("setpriv")
            .args(["--reuid", SERVICE_USER, "--regid", "nogroup"])
            .args(["--clear-groups", "--"])
            .arg(self.path("parsec"))
            .arg("-c")
            .arg(self.path("config.toml"))
            // Mbed Crypto puts its keys there.
            .dir(&self.path(SERVICE));
        let run = self.hardware.for_service(run, SERVICE_USER);
        let running = self
            .service
            .replace(Some(run.kept(&self.path("parsec.log"))));
        assert!(running.is_none(), "the service was running");
        wait_until("the Parsec service", || {
            UnixStream::connect(self.socket()).is_ok()
        });
    }

    /// Kills it. Its socket stays.
    pub fn stop(&self) {
        self.service.take().expect("a running service");
    }

    pub fn restart(&self) {
        self.stop();
        self.go_on();
    }

    /// From its next start it knows its clients in this way: `auth_type` in its config.toml.
    pub fn know_clients_by(&self, auth_type: &str) {
        *self.authenticator.borrow_mut() = auth_type.into();
    }

    /// Lets it answer nobody until `CONT`, or sends it another signal.
    pub fn signal(&self, name: &str) {
        let service = self.service.borrow();
        service.as_ref().expect("a running service").signal(name);
    }

    /// What it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("parsec.log")).unwrap_or_default()
    }

    /// The TPM of its TPM provider.
    pub fn tpm(&self) -> &crate::Tpm {
        self.hardware.tpm.as_ref().expect("a TPM provider")
    }

    /// Takes away what the token of its PKCS#11 provider holds.
    pub fn take_token_away(&self) {
        self.hardware.move_token("tokens", "away");
    }

    pub fn bring_token_back(&self) {
        self.hardware.move_token("away", "tokens");
    }

    fn config(&self) -> String {
        let mut config = format!(
            "[core_settings]\nidle_listener_sleep_duration = 1\nlog_level = \"info\"\nlog_error_details = true\n\
             [listener]\nlistener_type = \"DomainSocket\"\ntimeout = 2000\nsocket_path = \"{}\"\n\
             [authenticator]\nauth_type = \"{}\"\n",
            self.socket().display(),
            self.authenticator.borrow()
        );
        for (number, provider) in self.hardware.providers.iter().enumerate() {
            // One for each: in a shared one a second key of a name is the end of the first.
            let database = self.path(SERVICE).join(format!("keys-{number}.sqlite3"));
            write!(
                config,
                "[[key_manager]]\nname = \"keys-{number}\"\nmanager_type = \"SQLite\"\n\
                 sqlite_db_path = \"{}\"\n[[provider]]\nkey_info_manager = \"keys-{number}\"\n{}",
                database.display(),
                self.hardware.provider_lines(*provider)
            )
            .expect("config.toml");
        }
        config
    }

    pub fn socket(&self) -> PathBuf {
        self.path(SERVICE).join("parsec.sock")
    }

    /// The directory of the socket, whose rights say who may use it.
    pub fn socket_directory(&self) -> PathBuf {
        self.path(SERVICE)
    }

    /// The usual openssl.cnf: default first, hwkey with this service.
    pub fn conf(&self) -> Conf {
        let endpoint = format!("unix:{}", self.socket().display());
        Conf::new().option("parsec-endpoint", &endpoint)
    }

    /// Writes `conf` to where the programs read it.
    pub fn configure(&self, conf: &Conf) {
        fs::write(self.path("openssl.cnf"), conf.text()).expect("openssl.cnf");
    }

    /// The usual one, with these lines for all that is done with TLS.
    pub fn configure_tls(&self, lines: &str) {
        let begin = "[openssl_init]\n";
        let text = self.conf().text();
        assert!(text.contains(begin), "{text}");
        let text = text.replace(begin, &format!("{begin}ssl_conf = ssl\n"));
        let text = format!("{text}[ssl]\nsystem_default = tls\n[tls]\n{lines}");
        fs::write(self.path("openssl.cnf"), text).expect("openssl.cnf");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// parsec-tool, at the service's first provider.
    pub fn tool(&self, arguments: &str, values: &[&str]) -> Run {
        let endpoint = format!("unix:{}", self.socket().display());
        self.run(self.path("parsec-tool"))
            .env_remove("OPENSSL_CONF")
            .env("PARSEC_SERVICE_ENDPOINT", endpoint)
            .words(arguments, values)
    }

    /// The same at another provider.
    pub fn tool_at(&self, provider: ParsecProvider, arguments: &str, values: &[&str]) -> Run {
        let arguments = format!("--provider {} {arguments}", provider as u8);
        self.tool(&arguments, values)
    }

    /// Makes a key that parsec-tool does not make (src/bin/parsec_key.rs).
    #[track_caller]
    pub fn make_key(&self, provider: ParsecProvider, name: &str, policy: &str) {
        let made = self.may_make_key(provider, name, policy);
        assert!(made.ok, "{}", made.all());
    }

    /// The same of one that a provider may not make.
    pub fn may_make_key(&self, provider: ParsecProvider, name: &str, policy: &str) -> Finished {
        let number = (provider as u8).to_string();
        let endpoint = format!("unix:{}", self.socket().display());
        self.run(helper("parsec_key"))
            .env("PARSEC_SERVICE_ENDPOINT", endpoint)
            .args([&number, name, policy])
            .finish()
    }

    /// A program in this directory, with this openssl.cnf.
    pub fn run(&self, program: impl AsRef<OsStr>) -> Run {
        Run::new(program)
            .dir(self.dir.path())
            .env("OPENSSL_CONF", self.path("openssl.cnf"))
    }

    /// The same as another user, from the start.
    pub fn run_as(&self, user: &str, program: impl AsRef<OsStr>) -> Run {
        self.run("setpriv")
            .args(["--reuid", user, "--regid", user, "--init-groups", "--"])
            .arg(program)
    }

    /// `openssl` with arguments as in [`Run::words`].
    pub fn openssl(&self, arguments: &str, values: &[&str]) -> Run {
        self.run("openssl").words(arguments, values)
    }

    /// Writes the PEM file that stands for the key at `uri`.
    pub fn reference(&self, uri: &str, file: &str) {
        self.openssl("pkey -in {} -out {}", &[uri, file]).ok();
        fs::set_permissions(self.path(file), Permissions::from_mode(0o644)).expect("chmod");
    }

    /// One process that loads keys and signs as the test goes on.
    pub fn steps(&self) -> Steps {
        Steps::of(self.run(helper("steps")), &self.path("steps.log"))
    }

    /// The same as another user.
    pub fn steps_as(&self, user: &str) -> Steps {
        Steps::of(self.run_as(user, helper("steps")), &self.path("steps.log"))
    }
}

impl Site for Parsec {
    const ENVIRONMENT: &[&str] = &[];

    fn path(&self, name: &str) -> PathBuf {
        self.path(name)
    }

    fn run(&self, program: &OsStr) -> Run {
        self.run(program)
    }
}

const SERVICE: &str = "service";

/// A program of Parsec, as ci/test has built it.
fn built(program: &str) -> PathBuf {
    let dir = std::env::var_os("HWKEY_TEST_PARSEC").expect("HWKEY_TEST_PARSEC: run ci/test");
    Path::new(&dir).join("bin").join(program)
}
