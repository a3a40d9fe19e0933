//! PIV cards that are taken out and come back, or others instead of them; pcscd that ends and is
//! started again.

use std::fs;

use hwkey_tests::{
    Card, KeyType, Module, Reader, Site, Slot, Steps, helper, reference, script, wait_until,
};

use Slot::{Authentication, CardAuthentication, Signature};

/// A card with keys, and a process of this card's user.
fn process(module: Module, slots: &[Slot]) -> (Card, Steps) {
    let card = Card::new(module, KeyType::P256, slots);
    for &slot in slots {
        let uri = format!("pkcs11:id={}", slot.id());
        let file = format!("{}.pem", slot.name());
        card.openssl("pkey -in {} -out {}", &[&uri, &file]).ok();
    }
    let run = card.run(helper("steps")).env("HWKEY_LOG", "debug");
    let steps = Steps::of(run, &card.path("steps.log"));
    (card, steps)
}

#[test]
fn a_card_that_comes_back_signs_in_the_same_process() {
    for module in Module::ALL {
        for slot in [Authentication, Signature, CardAuthentication] {
            let (card, mut steps) = process(module, &[slot]);
            steps.ok(&format!("load={}.pem", slot.name()));
            steps.ok("sign");
            card.remove();
            steps.fails("sign", "no such token");
            steps.fails("sign", "no such token");
            card.insert();
            steps.ok("sign");
            // Not noticed by the process while it was away.
            card.remove();
            card.insert();
            steps.ok("sign");
        }
    }
}

/// OpenSC 0.23 by itself waits for itself then.
#[test]
fn a_card_that_is_pulled_out_while_it_signs_does_not_hang_the_program() {
    const SIGNATURES: usize = 60;
    let (card, mut steps) = process(Module::OpenSc, &[Authentication]);
    steps.ok("load=9a.pem");
    for _ in 0..3 {
        (0..SIGNATURES).for_each(|_| steps.begin("sign"));
        steps.outcome();
        card.remove();
        card.insert();
        (1..SIGNATURES).for_each(|_| drop(steps.outcome()));
        steps.ok("sign");
    }
}

#[test]
fn a_restart_of_pcscd_costs_no_restart_of_the_program() {
    for module in Module::ALL {
        let (card, mut steps) = process(module, &[Authentication]);
        steps.ok("load=9a.pem");
        steps.ok("sign");
        card.stop_pcscd();
        card.start_pcscd();
        steps.ok("sign");
        card.stop_pcscd();
        let outcome = steps.take("sign");
        assert!(outcome.starts_with("failed: "), "{outcome}");
        card.start_pcscd();
        steps.ok("sign");
        steps.ok("load=9a.pem");
    }
}

#[test]
fn another_card_in_the_reader_gets_no_pin() {
    for module in Module::ALL {
        let (card, mut steps) = process(module, &[Authentication]);
        steps.ok("load=9a.pem");
        steps.ok("sign");
        card.remove();
        let other = card.another(Reader::First, KeyType::P256, &[Authentication]);
        card.write_pin("765432");
        steps.fails("sign", "no such token");
        assert_eq!(card.tries_left(), 3);
        other.remove();
        card.wait_for_cards(0);
        card.insert();
        // The kept one would do, but the source comes first.
        card.write_pin(hwkey_tests::PIN);
        steps.ok("sign");
    }
}

#[test]
fn the_keys_of_another_card_are_its_own() {
    for module in Module::ALL {
        let (card, mut steps) = process(module, &[Authentication]);
        fs::write(card.path("any.pem"), reference("pkcs11:id=%01", |_| ())).expect("any.pem");
        steps.ok("load=any.pem");
        steps.ok("sign");
        card.remove();
        let _other = card.another(Reader::First, KeyType::P256, &[Authentication]);
        // Verified with the public key that is loaded.
        steps.ok("load=any.pem");
        steps.ok("sign");
    }
}

/// As GnuPG's scdaemon does.
const HOLDER: &str = "\
import sys
from smartcard.scard import *
context = SCardEstablishContext(SCARD_SCOPE_SYSTEM)[1]
reader = SCardListReaders(context, [])[1][0]
outcome, card, _ = SCardConnect(context, reader, SCARD_SHARE_EXCLUSIVE, SCARD_PROTOCOL_ANY)
print('held' if outcome == SCARD_S_SUCCESS else SCardGetErrorMessage(outcome), flush=True)
sys.stdin.read()
SCardDisconnect(card, SCARD_LEAVE_CARD)
print('released', flush=True)
";

#[test]
fn a_card_that_another_program_holds_is_told_of_and_used_when_it_is_free() {
    for module in Module::ALL {
        let (card, mut steps) = process(module, &[Authentication]);
        let log = card.path("holder.log");
        let (_holder, hand) = card
            .tool("/usr/bin/python3")
            .args(["-c", HOLDER])
            .told(&log);
        let says = |text: &str| fs::read_to_string(&log).expect("a log").contains(text);
        wait_until("the holder", || says("held"));
        steps.fails("load=9a.pem", "no such token");
        let why = "or another program (GnuPG's scdaemon?) keeps it";
        assert!(steps.output().contains(why), "{}", steps.output());
        drop(hand);
        wait_until("the holder", || says("released"));
        steps.ok("load=9a.pem");
        steps.ok("sign");
    }
}

/// A client that goes on: a handshake for each line that it reads.
const CLIENT: &str = "\
ends = with_key(server()), with_key(client())
for line in sys.stdin:
    try:
        both(*ends)
        print('ok', flush=True)
    except ssl.SSLError as error:
        print('failed:', error, flush=True)
";

#[test]
fn a_running_tls_client_outlives_its_card_and_pcscd() {
    for module in Module::ALL {
        for key in [KeyType::P256, KeyType::Rsa2048] {
            let card = Card::new(module, key, &[Authentication]);
            let (key, certificate) = card.self_signed("pkcs11:id=%01", "9a");
            let client = script(&card, CLIENT, &key, &certificate);
            let mut client = Steps::of(client, &card.path("client.log"));
            client.ok("handshake");
            card.remove();
            card.insert();
            client.ok("handshake");
            card.stop_pcscd();
            card.start_pcscd();
            client.ok("handshake");
        }
    }
}
