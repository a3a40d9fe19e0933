//! OpenVPN: both ends with a hardware key, through renegotiations and restarts, after they have given
//! up root's rights. `dev null` stands for the tunnel's device: a handshake needs none.

use std::fs;

use hwkey_tests::{Authority, Background, Bench, KeyType, Run, free_port, wait_until};

const VERSIONS: [&str; 2] = ["1.2", "1.3"];

/// One end of a tunnel; it has a directory and a log of its own.
struct End {
    process: Background,
    bench: Bench,
}

impl End {
    fn start(bench: Bench, conf: &str) -> Self {
        fs::write(bench.path("openvpn.conf"), conf).unwrap();
        let log = bench.path("openvpn.log");
        let process = program(&bench).background(Some(&log));
        Self { process, bench }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bench.path("openvpn.log")).unwrap_or_default()
    }

    /// Waits until it has seen so many handshakes, with the other end's certificate each, after its
    /// last one of so many restarts.
    fn wait_for(&self, version: &str, restarts: usize, handshakes: usize) {
        let of_this_version = format!("Control Channel: TLSv{version},");
        wait_until("a handshake", || {
            let log = self.log();
            assert!(log.lines().all(is_no_failure), "{log}");
            let since = log.split("SIGUSR1[hard,] received").nth(restarts);
            let lines = since.unwrap_or_default().lines();
            let seen = lines
                .filter(|line| line.contains(&of_this_version))
                .filter(|line| line.contains("peer certificate"));
            seen.count() >= handshakes
        });
    }
}

/// A server and its client.
struct Tunnel {
    server: End,
    client: End,
    version: &'static str,
}

impl Tunnel {
    fn between(server: Bench, client: Bench, version: &'static str, more: &str) -> Self {
        let ports = [free_port(), free_port()];
        let more = format!("tls-version-max {version}\nreneg-sec 2\n{more}");
        Self {
            server: End::start(server, &server_conf(ports, &more)),
            client: End::start(client, &client_conf(ports, &format!("{more}\n{WITH_KEY}"))),
            version,
        }
    }

    fn ends(&self) -> [&End; 2] {
        [&self.server, &self.client]
    }
}

const WITH_KEY: &str = "cert cert.pem\nkey key.pem\n";

/// What both ends have.
fn conf(port: u16, other: u16, more: &str) -> String {
    format!(
        "dev null\nproto udp\nlocal 127.0.0.1\nremote 127.0.0.1\nlport {port}\nrport {other}\n\
         ca ca.crt\nuser nobody\ngroup nogroup\nping 1\nping-restart 20\nverb 3\n{more}\n"
    )
}

fn server_conf([server, client]: [u16; 2], more: &str) -> String {
    let server = conf(server, client, more);
    format!("{server}tls-server\ndh none\n{WITH_KEY}")
}

fn client_conf([server, client]: [u16; 2], more: &str) -> String {
    let client = conf(client, server, more);
    format!("{client}tls-client\nverify-x509-name server name-prefix\n")
}

fn program(bench: &Bench) -> Run {
    bench.run("openvpn").args(["--config", "openvpn.conf"])
}

fn is_no_failure(line: &str) -> bool {
    ![
        "hwkey: ",
        "TLS handshake failed",
        "OpenSSL: error",
        "Exiting",
    ]
    .iter()
    .any(|bad| line.contains(bad))
}

/// A tunnel for each type of key and version of TLS; all at once, since most of a test is waiting.
fn tunnels(authority: &Authority, more: &str, rights: fn(&Bench)) -> Vec<Tunnel> {
    let mut tunnels = Vec::new();
    for key in [KeyType::P256, KeyType::Rsa2048] {
        for version in VERSIONS {
            let server = authority.party("server", key);
            let client = authority.party("client", key);
            rights(&server);
            rights(&client);
            tunnels.push(Tunnel::between(server, client, version, more));
        }
    }
    tunnels
}

#[test]
fn nobody_renegotiates_with_the_key_that_root_has_loaded() {
    let authority = Authority::new();
    // Neither the PIN file nor the reference file: `persist-key` keeps what root has read.
    let rights = |bench: &Bench| bench.token.share_with("nogroup");
    let tunnels = tunnels(&authority, "persist-key", rights);
    for tunnel in &tunnels {
        for end in tunnel.ends() {
            end.wait_for(tunnel.version, 0, 2);
            assert!(!end.process.is_root());
        }
        for end in tunnel.ends() {
            end.process.signal("USR1");
        }
    }
    for tunnel in &tunnels {
        for end in tunnel.ends() {
            end.wait_for(tunnel.version, 1, 2);
        }
    }
}

#[test]
fn a_restart_without_persist_key_brings_the_renewed_certificate() {
    let authority = Authority::new();
    let tunnels = tunnels(&authority, "", |bench| bench.give_to("nobody"));
    for tunnel in &tunnels {
        tunnel.server.wait_for(tunnel.version, 0, 1);
        authority.certify(&tunnel.server.bench, "server", "server-renewed");
        tunnel.server.process.signal("USR1");
    }
    for tunnel in &tunnels {
        wait_until("the renewed certificate", || {
            let log = tunnel.client.log();
            log.contains("VERIFY OK: depth=0, CN=server-renewed")
        });
        tunnel.server.wait_for(tunnel.version, 1, 1);
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let authority = Authority::new();
    let [server, client] = ["server", "client"].map(|name| authority.party(name, KeyType::P256));
    let ports = [free_port(), free_port()];
    // A client must have something to show.
    fs::write(client.path("password"), "client\nsecret\n").unwrap();
    server.token.share_with("nogroup");
    let server = End::start(server, &server_conf(ports, ""));
    let client = End::start(client, &client_conf(ports, "pull\nauth-user-pass password"));
    wait_until("the refusal", || {
        server.log().contains("peer did not return a certificate")
    });
    for end in [server, client] {
        assert!(!end.log().contains("Initialization Sequence Completed"));
    }
}

#[test]
fn a_wrong_pin_stops_the_start_with_its_reason() {
    let authority = Authority::new();
    let bench = authority.party("server", KeyType::P256);
    bench.write_pin("11112222");
    let conf = server_conf([free_port(), free_port()], "");
    fs::write(bench.path("openvpn.conf"), conf).unwrap();
    let said = program(&bench).fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(said.contains("Cannot load private key file"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
}
