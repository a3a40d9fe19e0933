//! OpenSC's PKCS#11 spy: what reaches the token.

/// The spy (package opensc-pkcs11). It reads `PKCS11SPY` (the real module) and `PKCS11SPY_OUTPUT`.
pub fn spy() -> String {
    library("pkcs11-spy.so")
}

/// The path of a library of Debian, in the directory of this architecture's.
pub fn library(name: &str) -> String {
    let arch = std::env::consts::ARCH;
    let directory = match arch {
        "arm" => "arm-linux-gnueabihf".to_owned(),
        _ => format!("{arch}-linux-gnu"),
    };
    format!("/usr/lib/{directory}/{name}")
}
