//! PIV cards that want to be touched before they sign.

use hwkey_tests::{Card, KeyType, Module, Slot, Steps, helper, wait_until};

use Slot::Authentication;

fn demanding_card(module: Module) -> (Card, Steps) {
    let card = Card::new(module, KeyType::P256, &[Authentication]);
    card.openssl("pkey -in pkcs11:id=%01 -out 9a.pem", &[]).ok();
    card.demand_touch();
    let mut steps = Steps::of(card.run(helper("steps")), &card.path("steps.log"));
    steps.ok("load=9a.pem");
    (card, steps)
}

#[test]
fn the_log_tells_of_a_card_that_waits_for_a_touch() {
    for module in Module::ALL {
        let (card, mut steps) = demanding_card(module);
        steps.begin("sign");
        wait_until("the log", || {
            steps.output().contains("touch it, if it blinks")
        });
        card.chip.touch();
        assert_eq!(steps.outcome(), "ok");
        assert_eq!(card.chip.waits_for_touch(), 1);
    }
}

#[test]
fn a_signature_without_a_touch_is_not_tried_again() {
    for module in Module::ALL {
        let (card, mut steps) = demanding_card(module);
        steps.fails("sign", "the token was not touched");
        let calls = steps.output().matches("touch it, if it blinks").count();
        assert_eq!(calls, 1, "{module:?}");
        card.chip.touch();
        steps.ok("sign");
    }
}
