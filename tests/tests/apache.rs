//! Apache, one connection a process (prefork): root's parent loads the key, its children sign as
//! www-data.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use hwkey_tests::{
    Bench, Client, Group, KeyType, Run, free_port, is_root, shown_subject, wait_until,
};

/// One process for each connection.
const PREFORK: &str = "mpm_prefork";

const KEYS: [KeyType; 2] = [KeyType::P256, KeyType::Rsa2048];

/// Apache, and nothing outside of the bench's directory.
struct Apache {
    bench: Bench,
    client: Client,
    port: u16,
    parent: Group,
}

/// One line of the access log.
struct Access {
    pid: u32,
    client: String,
}

impl Apache {
    /// Starts it with the key that `key_line` names: the URI, or the reference file.
    fn with(key: KeyType, key_line: fn(&Bench) -> String) -> Self {
        Self::start(key, key_line, PREFORK)
    }

    fn start(key: KeyType, key_line: fn(&Bench) -> String, model: &str) -> Self {
        let (bench, client) = (bench(key), Client::new(KeyType::P256));
        let port = configure(&bench, &client, &key_line(&bench), model);
        let parent = program(&bench).group(&bench.path("stderr.log"));
        let apache = Self {
            bench,
            client,
            port,
            parent,
        };
        wait_until("Apache", || {
            apache.log().contains("resuming normal operations")
        });
        apache
    }

    fn certificate(&self) -> PathBuf {
        self.bench.path("server.crt.pem")
    }

    /// So many connections, and which processes served them.
    fn children(&self, handshakes: usize) -> BTreeSet<u32> {
        let before = self.accesses().len();
        let answers = self.client.ask(self.port, &self.certificate(), handshakes);
        assert!(
            answers.iter().all(|answer| answer.ends_with(" hello")),
            "{answers:?}"
        );
        // Written after the answer.
        wait_until("the access log", || {
            self.accesses().len() == before + handshakes
        });
        let accesses = self.accesses().split_off(before);
        assert!(accesses.iter().all(|access| access.client == "device"));
        accesses.iter().map(|access| access.pid).collect()
    }

    fn accesses(&self) -> Vec<Access> {
        let log = fs::read_to_string(self.bench.path("access.log")).unwrap_or_default();
        let access = |line: &str| {
            let (pid, client) = line.split_once(' ').unwrap();
            Access {
                pid: pid.parse().unwrap(),
                client: client.into(),
            }
        };
        log.lines().map(access).collect()
    }

    fn log(&self) -> String {
        let log = |name| fs::read_to_string(self.bench.path(name)).unwrap_or_default();
        log("stderr.log") + &log("error.log")
    }
}

/// A bench with a server's key and its certificate, and a page to show.
fn bench(key: KeyType) -> Bench {
    let bench = Bench::new("apache");
    bench.token.make_key(key, "server", "01");
    bench.self_signed("server");
    bench.token.share_with("www-data");
    fs::create_dir(bench.path("htdocs")).unwrap();
    fs::write(bench.path("htdocs/index.html"), "hello").unwrap();
    bench
}

/// Writes apache.conf; returns the port of the server to be.
fn configure(bench: &Bench, client: &Client, key: &str, model: &str) -> u16 {
    let port = free_port();
    let modules: String = [model, "authz_core", "dir", "ssl"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let text = format!(
        "{modules}
ServerRoot {dir}
ServerName localhost
PidFile {dir}/apache.pid
DefaultRuntimeDir {dir}
Mutex pthread
User www-data
Group www-data
StartServers 3
Listen 127.0.0.1:{port}
ErrorLog {dir}/error.log
LogFormat \"%P %{{SSL_CLIENT_S_DN_CN}}x\" who
CustomLog {dir}/access.log who
DocumentRoot {dir}/htdocs
DirectoryIndex index.html
SSLEngine on
SSLCertificateFile {dir}/server.crt.pem
SSLCertificateKeyFile \"{key}\"
SSLCACertificateFile {device}
SSLVerifyClient require
SSLSessionTickets off
SSLSessionCache none
",
        dir = bench.dir.display(),
        device = client.certificate().display()
    );
    fs::write(bench.path("apache.conf"), text).unwrap();
    port
}

fn program(bench: &Bench) -> Run {
    let conf = bench.path("apache.conf");
    bench
        .run("/usr/sbin/apache2")
        .args(["-DFOREGROUND", "-f"])
        .arg(conf)
}

fn reference(bench: &Bench) -> String {
    bench.path("server.key.pem").display().to_string()
}

fn uri(bench: &Bench) -> String {
    bench.uri("server")
}

#[test]
fn children_without_rights_sign_across_graceful_restarts() {
    for key in KEYS {
        let apache = Apache::with(key, reference);
        let mut before = apache.children(20);
        assert!(!before.contains(&apache.parent.pid()));
        for subject in ["first", "second"] {
            apache.bench.renew("server", subject);
            apache.parent.signal("USR1");
            wait_until("new children", || apache.children(1).is_disjoint(&before));
            assert_eq!(shown_subject(apache.port), format!("CN = {subject}"));
            let after = apache.children(20);
            assert!(after.is_disjoint(&before), "{before:?} {after:?}");
            let one = *after.first().unwrap();
            assert!(!is_root(one));
            before = after;
        }
        assert!(!apache.log().contains("hwkey: "), "{}", apache.log());
    }
}

/// Children sign before a graceful restart, and new ones after it.
#[track_caller]
fn goes_on_after_a_restart(apache: &Apache) {
    let before = apache.children(10);
    apache.parent.signal("USR1");
    wait_until("new children", || apache.children(1).is_disjoint(&before));
    apache.children(10);
    assert!(!apache.log().contains("hwkey: "), "{}", apache.log());
}

#[test]
fn the_key_is_given_by_its_uri() {
    for key in KEYS {
        goes_on_after_a_restart(&Apache::with(key, uri));
    }
}

#[test]
fn threads_sign_too() {
    goes_on_after_a_restart(&Apache::start(KeyType::P256, reference, "mpm_event"));
}

#[test]
fn a_client_without_certificate_is_refused() {
    let apache = Apache::with(KeyType::P256, reference);
    let (client, port) = (&apache.client, apache.port);
    client.is_refused_without_certificate(port, &apache.certificate());
    apache.children(2);
}

#[test]
fn a_wrong_pin_stops_the_start_with_its_reason() {
    let (bench, client) = (bench(KeyType::P256), Client::new(KeyType::P256));
    configure(&bench, &client, &reference(&bench), PREFORK);
    bench.write_pin("11112222");
    let said = program(&bench).fails();
    let said = said + &fs::read_to_string(bench.path("error.log")).unwrap();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
}
