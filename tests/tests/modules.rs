//! Several PKCS#11 modules at once, and modules by name.

use hwkey_tests::{Run, SOFTHSM, Said, bench, failed_load, load, spy};

/// A module of p11-kit (package p11-kit-modules), by the end of its name.
fn of_p11_kit(name: &str) -> String {
    let list = Run::new("dpkg").args(["-L", "p11-kit-modules"]).ok();
    let module = list.lines().find(|line| line.ends_with(name));
    module.expect("a file of the package").to_owned()
}

#[test]
fn several_modules_are_searched_and_their_common_token_is_there_once() {
    let bench = bench("gateway");
    // The spy is another module with the same token behind it.
    let both = format!("{SOFTHSM}, {}", spy());
    bench.configure(&bench.conf().option("pkcs11-module-path", &both));
    let listed = bench
        .openssl("storeutl -noout pkcs11:", &[])
        .env("PKCS11SPY", SOFTHSM)
        .env("PKCS11SPY_OUTPUT", bench.path("spy.log"))
        .ok();
    assert_eq!(listed.matches("object=device").count(), 1, "{listed}");
    load(&bench, &bench.uri("device"))
        .env("PKCS11SPY", SOFTHSM)
        .env("PKCS11SPY_OUTPUT", bench.path("spy.log"))
        .ok();
}

#[test]
fn a_module_that_fails_disturbs_only_those_who_need_it() {
    let bench = bench("gateway");
    let both = format!("/nowhere/vendor.so, {SOFTHSM}");
    bench.configure(&bench.conf().option("pkcs11-module-path", &both));
    let loaded = load(&bench, &bench.uri("device")).finish();
    assert!(loaded.ok, "{}", loaded.all());
    for part in ["hwkey: warn", "/nowhere/vendor.so", "going on without it"] {
        assert!(loaded.stderr.contains(part), "{}", loaded.stderr);
    }
    // A token that is not there may be the failing module's.
    failed_load(&bench, "pkcs11:token=hsm;object=device").names(
        "no such token",
        "loading pkcs11:token=hsm;object=device",
        &[
            "no token matches; there is token \"gateway\"",
            "/nowhere/vendor.so: No such file",
        ],
    );
}

#[test]
fn the_tokens_of_trusted_certificates_stay_out_of_listings() {
    let bench = bench("gateway");
    let both = format!("{}, {SOFTHSM}", of_p11_kit("p11-kit-trust.so"));
    bench.configure(&bench.conf().option("pkcs11-module-path", &both));
    let listed = bench.openssl("storeutl -noout pkcs11:", &[]).ok();
    assert_eq!(listed.matches(": Name: ").count(), 1, "{listed}");
    assert!(listed.contains("object=device"), "{listed}");
    // A key without the token's name is not ambiguous for them.
    load(&bench, "pkcs11:object=device").ok();
    let trusted = bench.openssl("storeutl -noout {}", &["pkcs11:model=p11-kit-trust"]);
    let trusted = trusted.finish();
    assert!(
        !trusted.all().contains("no such token"),
        "{}",
        trusted.all()
    );
}

#[test]
fn module_name_is_p11_kits_or_the_files_name() {
    let bench = bench("gateway");
    bench.configure(
        &bench
            .conf()
            .option("pkcs11-module-path", &of_p11_kit("p11-kit-client.so")),
    );
    // softhsm2.module of p11-kit's configuration names libsofthsm2.so; opensc-pkcs11.module a file
    // relative to the directory for modules.
    for (name, has_key) in [("softhsm2", true), ("opensc-pkcs11", false)] {
        let uri = format!("{}?module-name={name}", bench.uri("device"));
        if has_key {
            load(&bench, &uri).ok();
            continue;
        }
        let said = Said::by(load(&bench, &uri));
        // (Without a pcscd OpenSC's module does not start.)
        said.never("the URI's module-name");
    }
    let uri = format!("{}?module-name=vendor", bench.uri("device"));
    failed_load(&bench, &uri).names(
        "PKCS#11 module can't be used",
        "loading ",
        &[
            "module-name \"vendor\"",
            "no vendor.so or libvendor.so",
            "module-dirs",
        ],
    );
}
