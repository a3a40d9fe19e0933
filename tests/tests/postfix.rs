//! Postfix: each smtpd loads the key as root, and signs as postfix, also in a chroot.

use std::fs;
use std::os::unix::fs::symlink;

use hwkey_tests::{Authority, Bench, Group, KeyType, free_port, is_root, wait_until};

const VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];
const PROGRAMS: &str = "/usr/lib/postfix/sbin";

/// A mail system of its own in the bench's directory, which lets nobody in without a certificate.
struct Postfix {
    /// Ends before its directory goes.
    _master: Group,
    bench: Bench,
    port: u16,
}

impl Postfix {
    /// `chroot` is `y` or `n`, as in master.cf.
    fn start(bench: Bench, chroot: &str) -> Self {
        let port = configure(&bench, chroot);
        command(&bench, "check");
        // At its end, master ends its process group.
        let master = bench
            .run(format!("{PROGRAMS}/master"))
            .args(["-d", "-c"])
            .arg(bench.path("etc"))
            .group(&bench.path("master.log"));
        let postfix = Self {
            _master: master,
            bench,
            port,
        };
        wait_until("the mail system", || {
            postfix.log().contains("daemon started")
        });
        postfix
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bench.path("mail.log")).unwrap_or_default()
    }

    /// What an SMTP session over TLS shows to this client.
    fn session(&self, client: &Bench, version: &str, more: &str) -> String {
        let connect = format!("localhost:{}", self.port);
        let option = version
            .to_lowercase()
            .replace("tlsv", "-tls")
            .replace('.', "_");
        let arguments = format!(
            "s_client -starttls smtp -connect {{}} -CAfile ca.crt -verify_return_error -ign_eof \
             {option} {more}"
        );
        let session = client.openssl(&arguments, &[&connect]);
        session.input("QUIT\r\n").finish().all()
    }

    /// Two sessions, each with a version of TLS, known by their certificate. Returns their smtpd.
    fn serves(&self, client: &Bench, subject: &str) -> u32 {
        for version in VERSIONS {
            let shown = self.session(client, version, "-cert cert.pem -key key.pem");
            assert!(shown.contains("221 2.0.0 Bye"), "{shown}\n{}", self.log());
            assert!(
                shown.contains(&format!("subject=CN = {subject}\n")),
                "{shown}"
            );
            let established = "Trusted TLS connection established from ";
            wait_until("the log", || {
                let log = self.log();
                let last = log.lines().rfind(|line| line.contains(established));
                last.is_some_and(|line| line.contains(version))
            });
        }
        let log = self.log();
        let smtpd = log.rsplit("postfix/smtpd[").next().expect("an smtpd");
        let pid = smtpd.split(']').next().expect("its process");
        pid.parse().expect("a number")
    }

    fn reload(&self) {
        command(&self.bench, "reload");
    }
}

fn command(bench: &Bench, command: &str) {
    let etc = bench.path("etc");
    bench.run("postfix").arg("-c").arg(etc).arg(command).ok();
}

/// Writes main.cf and master.cf; returns the port of the mail system to be.
fn configure(bench: &Bench, chroot: &str) -> u16 {
    let (dir, port) = (bench.dir.display(), free_port());
    for name in ["etc", "queue", "data"] {
        fs::create_dir(bench.path(name)).unwrap();
    }
    bench.run("chown").args(["postfix", "data"]).ok();
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {dir}/queue\ndata_directory = {dir}/data\n\
         maillog_file = {dir}/mail.log\nmaillog_file_prefixes = {dir}\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = localhost\nlocal_recipient_maps =\n\
         import_environment = MAIL_CONFIG LANG=C OPENSSL_CONF SOFTHSM2_CONF\n\
         smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = {dir}/cert.pem\n\
         smtpd_tls_key_file = {dir}/key.pem\nsmtpd_tls_CAfile = {dir}/ca.crt\n\
         smtpd_tls_req_ccert = yes\nsmtpd_tls_loglevel = 1\n"
    );
    let master = format!(
        "{port} inet n - {chroot} - - smtpd\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\nanvil unix - - n - 1 anvil\n\
         rewrite unix - - n - - trivial-rewrite\npickup unix n - n 60 1 pickup\n\
         qmgr unix n - n 300 1 qmgr\ncleanup unix n - n - 0 cleanup\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    );
    fs::write(bench.path("etc/main.cf"), main).unwrap();
    fs::write(bench.path("etc/master.cf"), master).unwrap();
    port
}

#[test]
fn smtpd_signs_as_postfix_before_and_after_each_reload() {
    let authority = Authority::new();
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let client = authority.party("client", key);
        let server = authority.party("server", key);
        server.token.share_with("postfix");
        let postfix = Postfix::start(server, "n");
        let mut smtpd = postfix.serves(&client, "server");
        for renewed in ["first", "second"] {
            authority.certify(&postfix.bench, "server", renewed);
            postfix.reload();
            let before = smtpd;
            smtpd = postfix.serves(&client, renewed);
            assert_ne!(smtpd, before);
            assert!(!is_root(smtpd));
        }
        let log = postfix.log();
        for bad in ["hwkey:", "TLS library problem"] {
            assert!(!log.contains(bad), "{key:?}: {log}");
        }
    }
}

#[test]
fn in_a_chroot_the_token_must_be_at_its_usual_path() {
    let authority = Authority::new();
    let client = authority.party("client", KeyType::P256);
    let server = authority.party("server", KeyType::P256);
    server.token.share_with("postfix");
    let postfix = Postfix::start(server, "y");
    let shown = postfix.session(&client, VERSIONS[1], "-cert cert.pem -key key.pem");
    assert!(!shown.contains("221 2.0.0 Bye"), "{shown}");
    wait_until("the reason", || postfix.log().contains("no such token"));

    let (outside, inside) = (postfix.bench.path("tokens"), {
        let dir = postfix.bench.dir.strip_prefix("/").unwrap();
        postfix.bench.path("queue").join(dir)
    });
    fs::create_dir_all(&inside).unwrap();
    fs::rename(&outside, inside.join("tokens")).unwrap();
    symlink(inside.join("tokens"), &outside).unwrap();
    postfix.reload();
    postfix.serves(&client, "server");
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let authority = Authority::new();
    let client = authority.party("client", KeyType::P256);
    let server = authority.party("server", KeyType::P256);
    server.token.share_with("postfix");
    let postfix = Postfix::start(server, "n");
    for version in VERSIONS {
        let shown = postfix.session(&client, version, "");
        assert!(!shown.contains("221 2.0.0 Bye"), "{shown}");
        let answer = "421 4.7.1 localhost Error: No client certificate presented";
        assert!(shown.contains(answer), "{shown}");
    }
    postfix.serves(&client, "server");
}

#[test]
fn the_log_says_that_the_pin_is_wrong_and_no_tls_is_offered() {
    let authority = Authority::new();
    let client = authority.party("client", KeyType::P256);
    let server = authority.party("server", KeyType::P256);
    server.write_pin("11112222");
    let postfix = Postfix::start(server, "n");
    let shown = postfix.session(&client, VERSIONS[1], "-cert cert.pem -key key.pem");
    assert!(!shown.contains("221 2.0.0 Bye"), "{shown}");
    wait_until("the reason", || postfix.log().contains("PIN refused"));
    assert!(postfix.log().contains("disabling TLS support"));
    assert!(!postfix.log().contains("11112222"));
}
