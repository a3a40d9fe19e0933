//! The page on YubiKeys works as it is printed, with either module; and its messages are those that
//! one sees.

use std::{fs, thread};

use hwkey_tests::{
    Card, Followed, KeyType, Module, PIN, Run, Slot, WRONG_PIN, has_only_messages_that_are_seen,
};

use Slot::{Authentication, KeyManagement, Signature};

const PAGE: &str = "docs/yubikey.md";

#[test]
fn the_page_on_yubikeys_leads_from_a_new_card_to_messages_over_tls() {
    for module in Module::ALL {
        let card = Card::unused(module);
        let other_module = |text: String| match module {
            Module::Ykcs11 => text,
            Module::OpenSc => text.replace("/libykcs11.so.2)", "/opensc-pkcs11.so)"),
        };
        let followed = Followed::with_card(PAGE, &card, other_module, &["8883", "1883"], &[]);
        let received = followed.read("received");
        for message in ["61.5 degrees", "58.0 degrees"] {
            assert!(received.contains(message), "{module:?}: {received}");
        }
        let cloud = followed.read("cloud.log");
        assert!(cloud.contains("u'device-1'"), "{cloud}");
        let conf = followed.read("openssl.cnf");
        assert!(conf.contains(&module.path()), "{conf}");
        followed.says("Total found: 3");
        followed.says("Successfully unblocked the pin code.");
        assert!(
            !followed.said.all().contains("hwkey: "),
            "{}",
            followed.said.all()
        );
    }
}

/// Both modules' cards, whose messages together are those of the page.
#[test]
fn the_page_on_yubikeys_has_the_messages_that_one_sees() {
    let seen = thread::scope(|scope| {
        let cards = Module::ALL.map(|module| scope.spawn(move || provoked(module)));
        cards.map(|card| card.join().expect("a card")).concat()
    });
    has_only_messages_that_are_seen(PAGE, &seen, &[]);
}

/// What is said of all that can go wrong with a card.
fn provoked(module: Module) -> String {
    let slots = [Authentication, Signature, KeyManagement];
    let card = Card::new(module, KeyType::P256, &slots);
    card.openssl("pkey -in {} -out key.pem", &[UNDER_TEST]).ok();
    [of_the_pin(&card), of_keys(&card), of_the_reader(&card)].concat()
}

const UNDER_TEST: &str = "pkcs11:id=%01";

fn signing(card: &Card, key: &str) -> Run {
    card.openssl("dgst -sha256 -sign {} -out signature 9a.crt", &[key])
}

fn piv_tool(card: &Card, action: &str) -> Run {
    card.tool("yubico-piv-tool").words(action, &[])
}

fn of_the_pin(card: &Card) -> String {
    let mut said = String::new();
    for (pin, left) in [("1234", 3), (WRONG_PIN, 2), (WRONG_PIN, 1), (WRONG_PIN, 1)] {
        card.write_pin(pin);
        said += &signing(card, UNDER_TEST).fails();
        assert_eq!(card.tries_left(), left);
    }
    // The cure.
    card.write_pin(PIN);
    piv_tool(card, &format!("-a verify-pin -P {PIN}")).ok();
    signing(card, UNDER_TEST).ok();
    card.reset();
    (0..3).for_each(|_| card.spend_try());
    said += &signing(card, UNDER_TEST).fails();
    card.unblock(PIN);
    card.configure(&card.conf().without("pin-source").option("pin-keep", "no"));
    said += &card
        .openssl(
            "dgst -sha256 -sign {} -passin file:pin -out signature 9a.crt",
            &["pkcs11:id=%02"],
        )
        .fails();
    card.configure(&card.conf());
    said
}

fn of_keys(card: &Card) -> String {
    let other_key = "00".repeat(24);
    let mut said = piv_tool(card, &format!("-k{other_key} -a set-chuid")).fails();
    // Nothing is in 9e.
    said += &signing(card, "pkcs11:id=%04").fails();
    if card.module == Module::OpenSc {
        said += &signing(card, "pkcs11:id=%03").fails();
        // The name of the token.
        card.tool("openssl")
            .words(
                "x509 -new -force_pubkey 9a.pub -subj /CN=renamed -CA ca.crt -CAkey ca.key -out new.crt",
                &[],
            )
            .ok();
        piv_tool(card, "-a import-certificate -s 9a -i new.crt").ok();
        said += &signing(card, "pkcs11:token=card-9a;id=%01").fails();
        // Reference files have the serial number.
        signing(card, "key.pem").ok();
        piv_tool(card, "-a import-certificate -s 9a -i 9a.crt").ok();
    }
    // Through both modules one card is two.
    let both = Module::ALL.map(Module::path).join(",");
    card.configure(&card.conf().option("pkcs11-module-path", &both));
    said += &signing(card, UNDER_TEST).fails();
    card.configure(&card.conf());
    card.demand_touch();
    said += &signing(card, UNDER_TEST).fails();
    let waits = card.chip.waits_for_touch();
    assert_eq!(waits > 1, card.module == Module::OpenSc, "{waits}");
    said
}

fn of_the_reader(card: &Card) -> String {
    card.remove();
    let mut said = signing(card, UNDER_TEST).fails();
    said += &piv_tool(card, "-a status").fails();
    card.stop_pcscd();
    said += &signing(card, UNDER_TEST).fails();
    said
}

/// OpenSC closes the card behind itself, if opensc.conf says so, but nobody closes OpenSC.
#[test]
fn the_pin_opens_the_card_for_everybody_until_it_is_reset() {
    for module in Module::ALL {
        let card = Card::new(module, KeyType::P256, &[Authentication]);
        let conf = "app default { reader_driver pcsc { disconnect_action = reset; } }";
        fs::write(card.path("opensc.conf"), conf).expect("opensc.conf");
        assert!(!anybody_signs(&card), "{module:?}");
        let opensc_conf = card.path("opensc.conf");
        signing(&card, UNDER_TEST)
            .env("OPENSC_CONF", opensc_conf)
            .ok();
        assert!(anybody_signs(&card), "{module:?}");
        card.reset();
        assert!(!anybody_signs(&card), "{module:?}");
    }
}

/// Can somebody who has no PIN sign with 9a, by the card's own commands?
fn anybody_signs(card: &Card) -> bool {
    // NIST SP 800-73-4 part 2, §3.1.1 and §3.2.4; a P-256 key signs 32 zeros.
    let select = "00A4040009A00000030800001000";
    let sign = format!("0087119A267C2482008120{}00", "00".repeat(32));
    let said = card
        .tool("setpriv")
        .args([
            "--reuid",
            "nobody",
            "--regid",
            "nogroup",
            "--clear-groups",
            "--",
        ])
        .args(["opensc-tool", "--send-apdu", select, "--send-apdu", &sign])
        .ok();
    let answers: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("Received"))
        .collect();
    match answers[..] {
        [_, signature] => signature.contains("SW1=0x90"),
        _ => panic!("{said}"),
    }
}
