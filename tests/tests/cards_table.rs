//! What works with which module, slot and kind of key: the table in docs/yubikey.md is what comes out
//! here. With HWKEY_BLESS=1 the page is rewritten.

use std::fmt::Write as _;
use std::{fs, thread};

use hwkey_tests::{
    Background, Card, Finished, KeyType, Module, Run, Slot, Steps, free_port, has_table, helper,
    wait_for_port,
};

const KEYS: [(KeyType, &str); 2] = [(KeyType::P256, "P-256"), (KeyType::Rsa2048, "RSA-2048")];

/// Why something does not work: what hwkey says then, and what the page says below its table.
const REASONS: [(&str, &str); 1] = [(
    "the key's CKA_SIGN is false",
    "OpenSC gives the key in 9d for decryption and key agreement only: `operation not allowed for the key`",
)];

#[test]
fn the_table_of_what_works_is_true() {
    let rows = thread::scope(|scope| {
        let cards: Vec<_> = Module::ALL
            .into_iter()
            .flat_map(|module| KEYS.map(|key| scope.spawn(move || rows(module, key))))
            .collect();
        let rows = cards.into_iter().map(|card| card.join().expect("a card"));
        rows.collect::<String>()
    });
    let mut table = "\
| module | key | slot | signature | TLS 1.2 | TLS 1.3 | request | PIN |
|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    table += &rows;
    for (number, (_, reason)) in (1..).zip(REASONS) {
        write!(table, "\n({number}) {reason}.\n").expect("a String takes any text");
    }
    has_table("docs/yubikey.md", "tests/tests/cards_table.rs", &table);
}

/// The rows of a card with such keys.
fn rows(module: Module, (key, name): (KeyType, &str)) -> String {
    let card = Card::new(module, key, &Slot::ALL);
    fs::write(card.path("message"), "to whom it may concern").expect("message");
    let server = Server::start(&card);
    let row = |slot: Slot| {
        let cells = [
            signature(&card, slot),
            server.is_reached(&card, slot, "-tls1_2", "TLSv1.2"),
            server.is_reached(&card, slot, "-tls1_3", "TLSv1.3"),
            request(&card, slot),
            pin(&card, slot),
        ];
        let (version, slot) = (module.version(), slot.name());
        let cells = cells.join(" | ");
        format!("| {module} {version} | {name} | {slot} | {cells} |\n")
    };
    Slot::ALL.into_iter().map(row).collect()
}

fn uri(slot: Slot) -> String {
    format!("pkcs11:id={}", slot.id())
}

fn signature(card: &Card, slot: Slot) -> String {
    let sign = card.openssl(
        "dgst -sha256 -sign {} -out signature message",
        &[&uri(slot)],
    );
    let public = format!("{}.pub", slot.name());
    let verify = card.tool("openssl").words(
        "dgst -sha256 -verify {} -signature signature message",
        &[&public],
    );
    cell(sign, |_| verify.finish().ok)
}

fn request(card: &Card, slot: Slot) -> String {
    let ask = card.openssl(
        "req -new -key {} -subj /CN=me -out request.pem",
        &[&uri(slot)],
    );
    let verify = card
        .tool("openssl")
        .words("req -in request.pem -verify -noout", &[]);
    // The exit status of openssl req is that of a success in any case.
    cell(ask, |_| verify.finish().all().contains("verify OK"))
}

/// An `openssl s_server` without hwkey that demands a certificate of the card's authority.
struct Server {
    port: u16,
    _process: Background,
}

impl Server {
    fn start(card: &Card) -> Self {
        let port = free_port();
        let accept = port.to_string();
        let process = card
            .tool("openssl")
            .words(
                "s_server -accept {} -key ca.key -cert ca.crt -CAfile ca.crt -Verify 1 \
                 -verify_return_error -www",
                &[&accept],
            )
            .background(Some(&card.path("server.log")));
        wait_for_port(port);
        Self {
            port,
            _process: process,
        }
    }

    fn is_reached(&self, card: &Card, slot: Slot, option: &str, version: &str) -> String {
        let (connect, certificate) = (format!("localhost:{}", self.port), slot.name());
        let client = card.openssl(
            "s_client -connect {} -key {} -cert {}.crt -CAfile ca.crt -verify_return_error -quiet {}",
            &[&connect, &uri(slot), certificate, option],
        );
        let client = client.input("GET / HTTP/1.0\r\n\r\n");
        let subject = format!("Subject: CN=card-{certificate}");
        cell(client, |said| {
            said.stdout.contains(version) && said.stdout.contains(&subject)
        })
    }
}

/// When the PIN is asked for, if it is not kept.
fn pin(card: &Card, slot: Slot) -> String {
    let reference = format!("{}.pem", slot.name());
    card.openssl("pkey -in {} -out {}", &[&uri(slot), &reference])
        .ok();
    // OpenSC leaves it on the card.
    card.reset();
    let conf = card.conf().without("pin-source").option("pin-keep", "no");
    card.configure(&conf.option("pin-prompt", &card.askpass()));
    let log = card.path(&format!("{}.log", slot.name()));
    let mut steps = Steps::of(card.run(helper("steps")), &log);
    let before = card.times_asked();
    let mut asked = |step: &str| {
        let outcome = steps.take(step);
        (outcome == "ok").then(|| card.times_asked() - before)
    };
    let times =
        [format!("load={reference}"), "sign".into(), "sign".into()].map(|step| asked(&step));
    card.configure(&card.conf());
    match times {
        [Some(0), Some(0), Some(0)] => "none",
        [Some(1), Some(1), Some(1)] => "once",
        [Some(1), Some(2), Some(3)] => "once, and at each signature",
        [Some(1), None, None] => "–",
        other => panic!("{slot:?}: the PIN was asked for so often: {other:?}"),
    }
    .into()
}

/// "yes", or "no" with the number of the reason.
fn cell(run: Run, works: impl FnOnce(&Finished) -> bool) -> String {
    let said = run.finish();
    if said.ok {
        assert!(works(&said), "{}", said.all());
        return "yes".into();
    }
    let reason = REASONS
        .iter()
        .position(|(message, _)| said.all().contains(message));
    let reason = reason.unwrap_or_else(|| panic!("no reason is known for this: {}", said.all()));
    format!("no ({})", reason + 1)
}
