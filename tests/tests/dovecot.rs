//! Dovecot: it reads the reference file as root and hands its text to login processes, which find the
//! key and sign as dovenull.

use std::fs;

use hwkey_tests::{
    Authority, Bench, Group, KeyType, free_port, is_root, wait_for_port, wait_until,
};

const VERSIONS: [&str; 2] = ["tls1_2", "tls1_3"];

/// An IMAP server of its own in the bench's directory, which knows users by their certificate.
struct Dovecot {
    /// Ends before its directory goes.
    master: Group,
    bench: Bench,
    port: u16,
}

impl Dovecot {
    /// `login` is what service imap-login has besides its port.
    fn start(bench: Bench, login: &str) -> Self {
        let port = configure(&bench, login);
        let master = bench
            .run("dovecot")
            .args(["-F", "-c", "dovecot.conf"])
            .group(&bench.path("master.log"));
        wait_for_port(port);
        Self {
            master,
            bench,
            port,
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bench.path("dovecot.log")).unwrap_or_default()
    }

    /// What an IMAP session shows to this client, who gives no name and no password.
    fn session(&self, client: &Bench, version: &str, more: &str) -> String {
        let connect = format!("localhost:{}", self.port);
        let arguments = format!(
            "s_client -connect {{}} -CAfile ca.crt -verify_return_error -ign_eof -{version} {more}"
        );
        let session = client.openssl(&arguments, &[&connect]);
        let commands = "a authenticate EXTERNAL =\r\nb logout\r\n";
        session.input(commands).finish().all()
    }

    /// Four sessions, with both versions of TLS.
    fn serves(&self, client: &Bench, subject: &str) {
        for version in VERSIONS.iter().chain(&VERSIONS) {
            let shown = self.session(client, version, "-cert cert.pem -key key.pem");
            assert!(shown.contains("a OK "), "{shown}\n{}", self.log());
            assert!(shown.contains("b OK Logout"), "{shown}\n{}", self.log());
            assert!(
                shown.contains(&format!("subject=CN = {subject}\n")),
                "{shown}"
            );
        }
        assert!(
            self.log()
                .contains("imap-login: Info: Login: user=<client>")
        );
    }

    /// Its login processes now; none runs as root.
    fn login_processes(&self) -> usize {
        let master = self.master.pid().to_string();
        let pgrep = self.bench.run("pgrep");
        let list = pgrep.args(["-P", &master, "-x", "imap-login"]).finish();
        let pids: Vec<u32> = list.stdout.lines().flat_map(str::parse).collect();
        assert!(!pids.iter().any(|pid| is_root(*pid)), "{pids:?}");
        pids.len()
    }

    fn reload(&self) {
        let doveadm = self.bench.run("doveadm");
        doveadm.args(["-c", "dovecot.conf", "reload"]).ok();
    }
}

/// Writes dovecot.conf; returns the port of the server to be.
fn configure(bench: &Bench, login: &str) -> u16 {
    let (dir, port) = (bench.dir.display(), free_port());
    bench.token.share_with("dovenull");
    bench.run("chgrp").args(["dovenull", "pin"]).ok();
    bench.run("chmod").args(["640", "pin"]).ok();
    bench
        .run("install")
        .args(["-d", "-o", "nobody", "mail"])
        .ok();
    let conf = format!(
        "base_dir = {dir}/run\nlog_path = {dir}/dovecot.log\nprotocols = imap\nlisten = 127.0.0.1\n\
         import_environment = OPENSSL_CONF SOFTHSM2_CONF\n\
         ssl = required\nssl_cert = <{dir}/cert.pem\nssl_key = <{dir}/key.pem\n\
         ssl_ca = <{dir}/ca.crt\nssl_require_crl = no\nssl_verify_client_cert = yes\n\
         auth_ssl_require_client_cert = yes\nauth_ssl_username_from_cert = yes\n\
         auth_mechanisms = external\nmail_location = maildir:{dir}/mail/%u\n\
         passdb {{\n driver = static\n args = nopassword\n}}\n\
         userdb {{\n driver = static\n args = uid=nobody gid=nogroup home={dir}/mail\n}}\n\
         service imap-login {{\n {login}\n inet_listener imap {{\n  port = 0\n }}\n \
         inet_listener imaps {{\n  port = {port}\n  ssl = yes\n }}\n}}\n"
    );
    fs::write(bench.path("dovecot.conf"), conf).unwrap();
    port
}

#[test]
fn login_processes_sign_as_dovenull_before_and_after_each_reload() {
    let authority = Authority::new();
    // A process for each connection, as is the default, and one for all.
    let one_for_all = "chroot =\n service_count = 0\n process_limit = 1";
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let client = authority.party("client", key);
        for login in ["chroot =", one_for_all] {
            let dovecot = Dovecot::start(authority.party("server", key), login);
            dovecot.serves(&client, "server");
            assert!(login != one_for_all || dovecot.login_processes() == 1);
            for renewed in ["first", "second"] {
                authority.certify(&dovecot.bench, "server", renewed);
                dovecot.reload();
                wait_until("the renewed certificate", || {
                    let shown = dovecot.session(&client, VERSIONS[1], "");
                    shown.contains(&format!("subject=CN = {renewed}\n"))
                });
                dovecot.serves(&client, renewed);
            }
            assert!(
                !dovecot.log().contains("hwkey: "),
                "{key:?}: {}",
                dovecot.log()
            );
        }
    }
}

#[test]
fn a_login_process_in_its_usual_chroot_finds_no_module() {
    let authority = Authority::new();
    let client = authority.party("client", KeyType::P256);
    let dovecot = Dovecot::start(authority.party("server", KeyType::P256), "");
    let shown = dovecot.session(&client, VERSIONS[1], "-cert cert.pem -key key.pem");
    assert!(!shown.contains("a OK"), "{shown}");
    wait_until("the reason", || {
        dovecot
            .log()
            .contains("hwkey: error: PKCS#11 module can't be used")
    });
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let authority = Authority::new();
    let client = authority.party("client", KeyType::P256);
    let dovecot = Dovecot::start(authority.party("server", KeyType::P256), "chroot =");
    for version in VERSIONS {
        let shown = dovecot.session(&client, version, "");
        let answer = "a NO [ALERT] Client didn't present valid SSL certificate";
        assert!(shown.contains(answer), "{shown}");
    }
    dovecot.serves(&client, "server");
}

#[test]
fn the_log_says_that_the_pin_is_wrong() {
    let authority = Authority::new();
    let client = authority.party("client", KeyType::P256);
    let server = authority.party("server", KeyType::P256);
    server.write_pin("11112222");
    let dovecot = Dovecot::start(server, "chroot =");
    let shown = dovecot.session(&client, VERSIONS[1], "-cert cert.pem -key key.pem");
    assert!(!shown.contains("a OK"), "{shown}");
    wait_until("the reason", || {
        dovecot.log().contains("hwkey: error: PIN refused")
    });
    assert!(!dovecot.log().contains("11112222"));
}
