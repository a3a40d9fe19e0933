//! How fast it signs, beside a bare loop of ESYS calls: `cargo test -p hwkey-tpm2 --test rate --
//! --ignored --nocapture`.

mod swtpm;

use std::ffi::CString;
use std::ptr;
use std::time::{Duration, Instant};

use openssl::sha::sha256;
use tpm2_abi::Source;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{HashScheme, SignatureScheme};
use tss_esapi::tss2_esys::*;

use swtpm::{P256, Tpm, wrapped};

#[test]
#[ignore = "measures"]
fn signatures_a_second() {
    let tpm = Tpm::start();
    let persistent = tpm.persistent("ecc256:ecdsa", "");
    let held = wrapped(&tpm.create(P256, b""), b"");
    let guarded = wrapped(&tpm.create(P256, b"auth"), b"auth");
    let digest = sha256(b"message");
    for _ in 0..3 {
        let bare = bare_loop(&tpm, &digest);
        println!("a bare loop: {bare:.0}");
        for (name, key) in [
            ("persistent", &persistent),
            ("wrapped", &held),
            ("with auth", &guarded),
        ] {
            let ours = rate(|| assert!(tpm.sign(key, &digest).is_ok()));
            println!("{name}: {ours:.0}, {:.2} of it", ours / bare);
        }
    }
    assert!(matches!(persistent.source, Source::Persistent(_)));
}

/// How often `work` can be done in a second.
fn rate(mut work: impl FnMut()) -> f64 {
    work();
    let since = Instant::now();
    let mut count = 0;
    while since.elapsed() < Duration::from_secs(2) {
        work();
        count += 1;
    }
    f64::from(count) / since.elapsed().as_secs_f64()
}

/// TPM2_Sign with the persistent key, and nothing else.
fn bare_loop(tpm: &Tpm, bytes: &[u8]) -> f64 {
    let conf = CString::new(tpm.tcti()).unwrap();
    let (mut tcti, mut esys) = (ptr::null_mut(), ptr::null_mut());
    let (none, mut key) = (ESYS_TR_NONE, ESYS_TR_NONE);
    let mut digest = TPM2B_DIGEST::default();
    digest.buffer[..bytes.len()].copy_from_slice(bytes);
    digest.size = bytes.len() as u16;
    let hash_scheme = HashScheme::new(HashingAlgorithm::Sha256);
    let scheme = TPMT_SIG_SCHEME::from(SignatureScheme::EcDsa { hash_scheme });
    let ticket = TPMT_TK_HASHCHECK {
        tag: 0x8024,
        hierarchy: 0x4000_0007,
        digest: TPM2B_DIGEST::default(),
    };
    // SAFETY: the calls are as tss2_esys.h describes them, and everything outlives them.
    unsafe {
        assert_eq!(Tss2_TctiLdr_Initialize(conf.as_ptr(), &mut tcti), 0);
        assert_eq!(Esys_Initialize(&mut esys, tcti, ptr::null_mut()), 0);
        let handle = 0x8100_0001;
        assert_eq!(
            Esys_TR_FromTPMPublic(esys, handle, none, none, none, &mut key),
            0
        );
        let rate = rate(|| {
            let mut signature = ptr::null_mut();
            let password = ESYS_TR_PASSWORD;
            let code = Esys_Sign(
                esys,
                key,
                password,
                none,
                none,
                &digest,
                &scheme,
                &ticket,
                &mut signature,
            );
            assert_eq!(code, 0);
            Esys_Free(signature.cast());
        });
        Esys_Finalize(&mut esys);
        Tss2_TctiLdr_Finalize(&mut tcti);
        rate
    }
}
