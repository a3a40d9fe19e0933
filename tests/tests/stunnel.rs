//! stunnel: one at each end of a connection, each with its key in a token of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use hwkey_tests::{
    Bench, Client, Group, KeyType, Run, free_port, is_root, shown_subject, wait_for_port,
    wait_until,
};

const KEYS: [KeyType; 2] = [KeyType::P256, KeyType::Rsa2048];

/// A stunnel that becomes user stunnel4.
struct Stunnel {
    bench: Bench,
    port: u16,
    process: Group,
}

impl Stunnel {
    /// The end that is spoken to in TLS, by those who have `trusted`'s key.
    fn server(bench: Bench, trusted: &Path, connect: u16) -> Self {
        Self::start(bench, trusted, connect, "requireCert = yes")
    }

    /// The end that is spoken to without TLS.
    fn client(bench: Bench, server: &Self, version: &str) -> Self {
        let trusted = server.bench.path("end.crt.pem");
        let lines = format!("client = yes\ncheckHost = localhost\nsslVersion = {version}");
        Self::start(bench, &trusted, server.port, &lines)
    }

    fn start(bench: Bench, trusted: &Path, connect: u16, lines: &str) -> Self {
        let port = free_port();
        // Without resumption each connection has its signatures.
        let conf = format!(
            "foreground = yes\nsetuid = stunnel4\nsetgid = stunnel4\npid =\ndebug = info\n\
             [end]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{connect}\n\
             cert = end.crt.pem\nkey = end.key.pem\nCAfile = {}\nverifyChain = yes\n\
             sessionResume = no\n{lines}\n",
            trusted.display()
        );
        fs::write(bench.path("stunnel.conf"), conf).unwrap();
        let process = program(&bench).group(&bench.path("stunnel.log"));
        wait_for_port(port);
        Self {
            bench,
            port,
            process,
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bench.path("stunnel.log")).unwrap()
    }

    /// A request without TLS; what is answered to it, nothing if the other end is closed.
    fn ask(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut answer = String::new();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let _ = stream.read_to_string(&mut answer);
        answer.rsplit("\r\n").next().unwrap().to_owned()
    }
}

fn program(bench: &Bench) -> Run {
    let conf = bench.path("stunnel.conf");
    bench.run("/usr/bin/stunnel4").arg(conf)
}

/// A bench with the key and certificate of one end.
fn end(key: KeyType) -> Bench {
    let bench = Bench::new("stunnel");
    bench.token.make_key(key, "end", "01");
    bench.self_signed("end");
    bench.token.share_with("stunnel4");
    // A reload reads it as stunnel4.
    bench.run("chgrp").args(["stunnel4", "end.key.pem"]).ok();
    bench.run("chmod").args(["g=r", "end.key.pem"]).ok();
    bench
}

/// What is behind the tunnel: a server that has never heard of TLS. Its thread ends with the test.
fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = |mut stream: TcpStream| {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte)?;
                    request.extend(byte);
                }
                stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello")
            };
            // stunnel connects before the handshake is over, and breaks off if it fails.
            let _ = stream.and_then(answer);
        }
    });
    port
}

#[test]
fn both_ends_sign_as_another_user_across_reloads() {
    let backend = backend();
    for key in KEYS {
        let client = Client::new(key);
        let server = Stunnel::server(end(key), &client.certificate(), backend);
        let certificate = server.bench.path("end.crt.pem");
        assert!(!is_root(server.process.pid()));
        for subject in ["first", "second"] {
            let answers = client.ask(server.port, &certificate, 10);
            assert!(answers.iter().all(|answer| answer.ends_with(" hello")));
            server.bench.renew("end", subject);
            server.process.signal("HUP");
            wait_until("the renewed certificate", || {
                shown_subject(server.port) == format!("CN = {subject}")
            });
        }
        client.ask(server.port, &certificate, 10);
        assert!(!server.log().contains("hwkey: "), "{}", server.log());
    }
}

#[test]
fn programs_without_tls_speak_through_both_ends() {
    let backend = backend();
    for (key, version) in KEYS.into_iter().zip(["TLSv1.2", "TLSv1.3"]) {
        let one = end(key);
        let server = Stunnel::server(end(key), &one.path("end.crt.pem"), backend);
        let one = Stunnel::client(one, &server, version);
        for _ in 0..5 {
            assert_eq!(one.ask(), "hello", "{}", one.log());
        }
        one.process.signal("HUP");
        wait_until("the reload", || {
            one.log().matches(" bound to ").count() == 2
        });
        for _ in 0..5 {
            assert_eq!(one.ask(), "hello", "{}", one.log());
        }
        assert!(!one.log().contains("hwkey: "), "{}", one.log());
    }
}

#[test]
fn a_client_without_certificate_is_refused() {
    let client = Client::new(KeyType::P256);
    let server = Stunnel::server(end(KeyType::P256), &client.certificate(), backend());
    let certificate = server.bench.path("end.crt.pem");
    client.is_refused_without_certificate(server.port, &certificate);
    client.ask(server.port, &certificate, 2);
}

#[test]
fn a_wrong_pin_stops_the_start_with_its_reason() {
    let bench = end(KeyType::P256);
    bench.write_pin("11112222");
    let conf =
        "foreground = yes\n[end]\naccept = 0\nconnect = 1\ncert = end.crt.pem\nkey = end.key.pem\n";
    fs::write(bench.path("stunnel.conf"), conf).unwrap();
    let said = program(&bench).fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
}
