//! How a module is linked: hwkey.so, and hwkey-tpm2.so (whose manifest names this file).

use std::path::Path;
use std::process::Command;

fn main() {
    // Besides itself, which cargo looks after.
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    // The code stays mapped after dlclose: threads of the program may still be in it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("gnu") {
        link_unwinder_statically();
    }
}

/// A Rust cdylib needs libgcc_s.so.1 for unwinding, one more file for every program that loads the
/// module. gcc ships the same code as an archive.
fn link_unwinder_statically() {
    let target = std::env::var("TARGET").unwrap_or_default();
    let linker = std::env::var("RUSTC_LINKER").unwrap_or_else(|_| {
        if Some(target.as_str()) == option_env!("HOST")
            || Ok(&target) == std::env::var("HOST").as_ref()
        {
            "cc".into()
        } else {
            format!("{}-gcc", target.replace("-unknown", ""))
        }
    });
    let found = Command::new(linker)
        .arg("-print-file-name=libgcc_eh.a")
        .output();
    let Ok(output) = found else { return };
    let archive = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    // gcc answers the bare name when it has no such file (zig has none and needs none).
    if let Some(directory) = Path::new(&archive).parent().filter(|dir| dir.is_absolute()) {
        println!("cargo:rustc-link-search=native={}", directory.display());
        println!("cargo:rustc-link-lib=static:+verbatim=libgcc_eh.a");
    }
}
