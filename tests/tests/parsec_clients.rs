//! Whose keys are meant: users, applications and tokens; servers that change their user, fork, and have
//! many threads.

use std::fs;

use hwkey_tests::{
    Nginx, Parsec, ParsecProvider, SOMEBODY, Said, Site, hammer, script, wait_until,
};

use ParsecProvider::MbedCrypto;

const REFUSED: &str = "Parsec refused the client";

#[test]
fn each_user_has_keys_of_its_own() {
    let parsec = Parsec::new(&[MbedCrypto]);
    parsec.tool("create-ecc-key --key-name device", &[]).ok();
    parsec.openssl("pkey -in parsec:device -noout", &[]).ok();
    let load = ["pkey", "-in", "parsec:device", "-noout"];
    let other = parsec.run_as(SOMEBODY, "openssl").args(load);
    let uid = parsec.run("id").args(["-u", SOMEBODY]).ok();
    let who = format!("(user id {})", uid.trim());
    Said::by(other).names(
        "no such key",
        "loading parsec:name=device",
        &[&who, "there is no key", "keys belong to who made them"],
    );
}

#[test]
fn an_application_is_known_by_its_name_and_parsec_tool_s_is_the_usual_one() {
    let parsec = Parsec::direct(&[MbedCrypto]);
    parsec.tool("create-ecc-key --key-name device", &[]).ok();
    // As parsec-tool: whoever runs it.
    parsec.openssl("pkey -in parsec:device -noout", &[]).ok();
    let load = |uri: &str| parsec.openssl("pkey -in {} -noout", &[uri]);
    Said::by(load("parsec:device;app=gateway")).names(
        "no such key",
        "loading parsec:name=device;app=gateway",
        &["(application \"gateway\")"],
    );
    let make = "genpkey -propquery provider=hwkey -algorithm EC -pkeyopt group:P-256 -pkeyopt {} -out key.pem";
    let uri = "hwkey_uri:parsec:device;app=gateway";
    parsec.openssl(make, &[uri]).ok();
    load("parsec:device;app=gateway").ok();
    // The file says whose it is, and openssl.cnf may say it for all.
    parsec.openssl("pkey -in key.pem -noout", &[]).ok();
    let text = fs::read_to_string(parsec.path("key.pem")).unwrap();
    assert!(
        text.contains("parsec:name=device;provider=mbed-crypto;app=gateway"),
        "{text}"
    );
    let public = |uri: &str| parsec.openssl("pkey -in {} -pubout", &[uri]).ok();
    let gateways = public("parsec:device;app=gateway");
    parsec.configure(&parsec.conf().option("parsec-app", "gateway"));
    assert_eq!(public("parsec:device"), gateways);
}

#[test]
fn a_service_that_knows_clients_in_another_way_says_in_which() {
    let parsec = Parsec::new(&[MbedCrypto]);
    for (uri, own) in [
        ("parsec:device?auth=direct", "not by Direct"),
        ("parsec:device;app=gateway", "not by Direct"),
    ] {
        Said::by(parsec.openssl("pkey -in {} -noout", &[uri])).names(
            REFUSED,
            "loading parsec:name=device",
            &[
                "AuthenticatorNotRegistered (13)",
                "knows its clients by UnixPeerCredentials",
                own,
                "parsec-auth = unix",
            ],
        );
    }
    Said::by(parsec.openssl("pkey -in {} -noout", &["parsec:device;app=a?auth=unix"])).names(
        "malformed key URI",
        "loading parsec:name=device",
        &["an app=, which is for auth=direct"],
    );
}

/// There is no SPIFFE server on this machine: the token goes to a service that does not take any.
#[test]
fn a_token_is_read_at_each_request_and_stays_out_of_every_message() {
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.c3BpZmZl.c2VjcmV0";
    let parsec = Parsec::new(&[MbedCrypto]);
    let file = parsec.path("svid").display().to_string();
    let conf = parsec.conf().option("parsec-auth", "jwt-svid");
    let load = || {
        let run = parsec.openssl("pkey -in parsec:device -noout", &[]);
        Said::by(run.env("HWKEY_LOG", "trace"))
    };
    parsec.configure(&conf);
    let stopped = "loading parsec:name=device";
    load().names(REFUSED, stopped, &["parsec-jwt-svid = /path"]);
    parsec.configure(&conf.option("parsec-jwt-svid", &file));
    load().names(REFUSED, stopped, &[&file, "No such file"]);
    fs::write(&file, "\n").unwrap();
    load().names(REFUSED, stopped, &[&file, "it is empty"]);
    fs::write(&file, TOKEN).unwrap();
    let said = load();
    said.names(REFUSED, stopped, &["not by JwtSvid", "parsec-auth = unix"]);
    said.never(TOKEN);
}

#[test]
fn a_file_with_a_key_may_not_name_a_socket() {
    let parsec = Parsec::new(&[MbedCrypto]);
    parsec.tool("create-ecc-key --key-name device", &[]).ok();
    let endpoint = format!("unix:{}", parsec.socket().display());
    // From the program it may come, and from the environment.
    let uri = format!("parsec:device?socket={endpoint}");
    let elsewhere = parsec.conf().without("parsec-endpoint");
    parsec.configure(&elsewhere);
    let load = |uri: &str| parsec.openssl("pkey -in {} -noout", &[uri]);
    load(&uri).ok();
    load("parsec:device")
        .env("PARSEC_SERVICE_ENDPOINT", &endpoint)
        .ok();
    Said::by(load("parsec:device").env("PARSEC_SERVICE_ENDPOINT", "parsec.sock")).names(
        "Parsec service can't be used",
        "loading parsec:name=device",
        &["PARSEC_SERVICE_ENDPOINT is \"parsec.sock\"; it must be unix: and an absolute path"],
    );
    Said::by(load("parsec:device")).names(
        "Parsec service can't be used",
        "loading parsec:name=device",
        &[
            "Parsec at /run/parsec/parsec.sock",
            "No such file or directory",
        ],
    );
    // In a file it has no place, and is not written to one.
    parsec.reference(&uri, "key.pem");
    let text = fs::read_to_string(parsec.path("key.pem")).unwrap();
    assert!(!text.contains("socket"), "{text}");
    fs::write(
        parsec.path("planted.pem"),
        hwkey_tests::reference(&uri, |_| {}),
    )
    .unwrap();
    let planted = || parsec.openssl("pkey -in planted.pem -noout", &[]);
    let said = planted().fails();
    assert!(said.contains("not allowed to name files"), "{said}");
    parsec.configure(&elsewhere.option("allow-uri-paths", "yes"));
    planted().ok();
}

#[test]
fn nginx_workers_with_another_user_are_told_what_to_do_and_with_names_they_sign() {
    let parsec = Parsec::new(&[MbedCrypto]);
    parsec.tool("create-ecc-key --key-name server", &[]).ok();
    let (key, certificate) = parsec.self_signed("parsec:server", "server");
    let nginx = Nginx::at(parsec, &key, certificate);
    let connect = format!("localhost:{}", nginx.port);
    let client = nginx.bench.run("openssl");
    client
        .env_remove("OPENSSL_CONF")
        .args(["s_client", "-connect", &connect])
        .fails();
    wait_until("the reason in nginx's log", || {
        let said = nginx.said();
        said.contains("the key was loaded by user id 0, and keys of 0 are not those of")
            && said.contains("auth_type = \"Direct\"")
    });

    let parsec = Parsec::direct(&[MbedCrypto]);
    parsec.tool("create-ecc-key --key-name server", &[]).ok();
    let (key, certificate) = parsec.self_signed("parsec:server", "server");
    let nginx = Nginx::at(parsec, &key, certificate);
    assert!(nginx.handshakes(&[]) >= 200);
    assert!(nginx.handshakes(&["reload"]) >= 200);
    // A service that is started anew in the middle is no matter.
    nginx.bench.restart();
    assert!(nginx.handshakes(&[]) >= 200);
    assert_eq!(nginx.complaints(), [""; 0]);
}

#[test]
fn forked_children_and_many_threads_sign_at_once() {
    let parsec = Parsec::new(&[MbedCrypto, ParsecProvider::Tpm]);
    let (mut files, mut key) = (Vec::new(), String::new());
    for provider in ["mbed-crypto", "tpm"] {
        let uri = format!("parsec:{provider};provider={provider}");
        let make = "genpkey -propquery provider=hwkey -algorithm EC -pkeyopt group:P-256 -pkeyopt {} -out {}";
        key = format!("{provider}.pem");
        parsec
            .openssl(make, &[&format!("hwkey_uri:{uri}"), &key])
            .ok();
        let public = format!("{provider}.pub");
        parsec
            .openssl("pkey -in {} -pubout -out {}", &[&key, &public])
            .ok();
        files.push([key.clone(), public]);
    }
    hammer(&parsec, &["8", "20"], &files);
    hammer(&parsec, &["--shared", "8", "20"], &files);
    parsec.certify(&key, "localhost", "cert.pem");
    let then = "
one, other = with_key(server()), with_key(client())
both(one, other)
for pid in [child(lambda: both(one, other)) for _ in range(3)]:
    ended_well(pid)
both(one, other)";
    script(&parsec, then, &key, "cert.pem").ok();
}

/// Servers in the place of the service's: `replaced(what)` is a listener there that does `what` with each
/// connection.
const REPLACED: &str = "
import os, signal, socket, threading
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
one, other = with_key(server()), with_key(client())
both(one, other)
path = os.environ['SOCKET']
def replaced(what):
    os.rename(path, path + '.real')
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    def serve():
        while True:
            what(listener.accept()[0])
    threading.Thread(target=serve, daemon=True).start()
def brought_back():
    os.rename(path + '.real', path)
";

/// Runs such a script with the key `device`.
#[track_caller]
fn with_replaced_service(then: &str) {
    let parsec = Parsec::new(&[MbedCrypto]);
    parsec.tool("create-ecc-key --key-name device", &[]).ok();
    let (key, certificate) = parsec.self_signed("parsec:device", "device");
    let run = script(&parsec, &format!("{REPLACED}{then}"), &key, &certificate);
    let printed = run.env("SOCKET", parsec.socket()).ok();
    assert_eq!(printed, "signed\n");
}

#[test]
fn a_service_that_hangs_up_ends_no_program() {
    // Who does so before a request was written raises SIGPIPE, where that is not turned off.
    with_replaced_service(
        "
def hang_up(peer):
    peer.shutdown(socket.SHUT_RD)
    peer.close()
replaced(hang_up)
for _ in range(20):
    refused(one, other)
brought_back()
both(one, other)
print('signed')",
    );
}

#[test]
fn a_service_that_starts_anew_in_the_middle_of_a_request_is_asked_again() {
    with_replaced_service(
        "
def start_anew(peer):
    peer.recv(1)
    brought_back()
    peer.close()
replaced(start_anew)
both(one, other)
print('signed')",
    );
}
