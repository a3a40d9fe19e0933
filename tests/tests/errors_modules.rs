//! What a user reads when a PKCS#11 module can't be opened or started, or may not be used.

use std::fs;

use hwkey_tests::{SOFTHSM, Said, bench, failed_load, load, software_works};

#[test]
fn a_module_that_can_not_be_used_is_named_with_the_cause() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let with = |module: &str| {
        bench.configure(&bench.conf().option("pkcs11-module-path", module));
        failed_load(&bench, &uri)
    };
    let reason = "PKCS#11 module can't be used";
    let stopped = format!("loading {uri}");

    with("/nowhere/vendor.so").names(
        reason,
        &stopped,
        &[
            "opening the PKCS#11 module /nowhere/vendor.so",
            "No such file or directory",
            "pkcs11-module-path",
        ],
    );
    let no_module = "/lib/x86_64-linux-gnu/libz.so.1";
    with(no_module).names(
        reason,
        &stopped,
        &[
            &format!("opening the PKCS#11 module {no_module}"),
            "it has no C_GetFunctionList",
        ],
    );
    let text = bench.path("message").display().to_string();
    with(&text).names(
        reason,
        &stopped,
        &[&format!("opening the PKCS#11 module {text}")],
    );
    // The module of another machine: for aarch64 (EM_AARCH64 is 183), as its ELF header says.
    let foreign = bench.path("aarch64.so");
    let mut elf = fs::read(SOFTHSM).unwrap();
    elf[18..20].copy_from_slice(&183u16.to_le_bytes());
    fs::write(&foreign, elf).unwrap();
    let foreign = foreign.display().to_string();
    let said = with(&foreign);
    said.names(
        reason,
        &stopped,
        &[
            &format!("opening the PKCS#11 module {foreign}"),
            "architecture",
        ],
    );
    // What the dynamic linker says of it, but the file is there.
    said.never("No such file");
    software_works(&bench);
}

#[test]
fn a_module_that_does_not_start_is_named_with_its_code() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let run = load(&bench, &uri).env("SOFTHSM2_CONF", bench.path("nowhere"));
    Said::by(run).names(
        "PKCS#11 module can't be used",
        &format!("loading {uri}"),
        &[
            &format!("initialising the PKCS#11 module {SOFTHSM}"),
            "C_Initialize: CKR_",
            "SOFTHSM2_CONF",
        ],
    );
}

#[test]
fn a_uris_module_comes_from_trusted_directories_only() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let reason = "PKCS#11 module can't be used";
    let stopped = format!("loading {uri}");
    let own = bench.path("own.so");
    fs::copy(SOFTHSM, &own).unwrap();
    let own = own.display().to_string();

    failed_load(&bench, &format!("{uri}?module-path={own}")).names(
        reason,
        &stopped,
        &[
            &format!("the URI's module-path {own}"),
            "is in no directory for PKCS#11 modules",
            "pkcs11-module-path",
            "module-dirs",
        ],
    );
    // Nor does module-dirs help while others can change what is in the directory: /tmp is above.
    let dir = bench.dir.display().to_string();
    bench.configure(&bench.conf().option("module-dirs", &dir));
    failed_load(&bench, &format!("{uri}?module-path={own}")).names(
        reason,
        &stopped,
        &["can be changed by others than root"],
    );
    bench.configure(&bench.conf().option("pkcs11-module-path", "/nowhere.so"));
    for name in [
        format!("module-path={SOFTHSM}"),
        "module-name=softhsm2".to_owned(),
        "module-name=libsofthsm2".to_owned(),
    ] {
        load(&bench, &format!("{uri}?{name}")).ok();
    }
    for (name, cure) in [
        ("vendor", "module-dirs"),
        ("..%2Fsofthsm%2Flibsofthsm2", "is no plain name"),
    ] {
        failed_load(&bench, &format!("{uri}?module-name={name}")).names(
            reason,
            &stopped,
            &["the URI's module-name", cure],
        );
    }
}
