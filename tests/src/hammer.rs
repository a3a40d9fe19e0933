//! Many threads with one key or many: bin/hammer.

use crate::{Bench, Site, helper};

/// Reference and public key files of the key `label` on the token `token`.
pub fn key_files(bench: &Bench, token: &str, label: &str) -> [String; 2] {
    let uri = format!("pkcs11:token={token};object={label}");
    let (key, public) = (
        format!("{token}-{label}.pem"),
        format!("{token}-{label}.pub"),
    );
    bench.openssl("pkey -in {} -out {}", &[&uri, &key]).ok();
    bench
        .openssl("pkey -in {} -pubout -out {}", &[&uri, &public])
        .ok();
    [key, public]
}

/// Threads sign with all these keys at once; none may fail, and nothing is complained of.
#[track_caller]
pub fn hammer(site: &impl Site, options: &[&str], files: &[[String; 2]]) {
    let said = site
        .run(helper("hammer").as_ref())
        .args(options)
        .args(files.as_flattened())
        .finish();
    assert!(said.ok, "{}", said.all());
    assert!(
        said.stdout.contains("\n0 of ") || said.stdout.starts_with("0 of "),
        "{}",
        said.all()
    );
    assert_eq!(said.stderr, "");
}
