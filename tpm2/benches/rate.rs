//! How fast it signs, beside a bare loop of ESYS calls: `cargo bench -p hwkey-tpm2`.

#[path = "../tests/swtpm/mod.rs"]
mod swtpm;

use std::ffi::CString;
use std::ptr;
use std::time::{Duration, Instant};

use openssl::sha::sha256;
use tpm2_abi::Saved;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{HashScheme, SignatureScheme};
use tss_esapi::tss2_esys::*;

use swtpm::{P256, Tpm, saved, wrapped};

fn main() {
    let tpm = Tpm::start();
    let persistent = tpm.persistent("ecc256:ecdsa", "");
    let context = saved(&tpm.read("key.ctx"));
    let unguarded = wrapped(&tpm.create(P256, b""), b"");
    let guarded = wrapped(&tpm.create(P256, b"auth"), b"auth");
    let digest = sha256(b"message");
    let bare = Bare::open(&tpm, &digest);
    let (tpm, digest) = (&tpm, &digest);
    let ours = |key| move || assert!(tpm.sign(key, digest).is_ok());
    let [one, own] = side_by_side([&|| bare.sign(bare.persistent), &ours(&persistent)]);
    println!("persistent: {own:.0}, {:.2} of {one:.0}", own / one);
    let bare: &dyn Fn() = &|| bare.load_and_sign(&context);
    for (name, key) in [
        ("wrapped", &unguarded),
        ("with an authorisation value", &guarded),
    ] {
        let [one, own] = side_by_side([bare, &ours(key)]);
        println!("{name}: {own:.0}, {:.2} of {one:.0}", own / one);
    }
}

/// How often each can be done in a second, in turns, so that both suffer from what else goes on.
fn side_by_side(work: [&dyn Fn(); 2]) -> [f64; 2] {
    work.iter().for_each(|work| work());
    let mut took = [Duration::ZERO; 2];
    for _ in 0..ROUNDS {
        for (work, took) in work.iter().zip(&mut took) {
            let since = Instant::now();
            (0..BATCH).for_each(|_| work());
            *took += since.elapsed();
        }
    }
    took.map(|took| f64::from(ROUNDS * BATCH) / took.as_secs_f64())
}

const ROUNDS: u32 = 100;
const BATCH: u32 = 20;

/// ESYS calls, and nothing else.
struct Bare {
    tcti: *mut TSS2_TCTI_CONTEXT,
    esys: *mut ESYS_CONTEXT,
    persistent: ESYS_TR,
    digest: TPM2B_DIGEST,
}

const NONE: ESYS_TR = ESYS_TR_NONE;

impl Bare {
    fn open(tpm: &Tpm, bytes: &[u8]) -> Self {
        let conf = CString::new(tpm.tcti()).unwrap();
        let (mut tcti, mut esys, mut persistent) = (ptr::null_mut(), ptr::null_mut(), NONE);
        let mut digest = TPM2B_DIGEST::default();
        digest.buffer[..bytes.len()].copy_from_slice(bytes);
        digest.size = bytes.len() as u16;
        // SAFETY: the calls are as tss2_esys.h describes them.
        unsafe {
            assert_eq!(Tss2_TctiLdr_Initialize(conf.as_ptr(), &mut tcti), 0);
            assert_eq!(Esys_Initialize(&mut esys, tcti, ptr::null_mut()), 0);
            let handle = 0x8100_0001;
            let code = Esys_TR_FromTPMPublic(esys, handle, NONE, NONE, NONE, &mut persistent);
            assert_eq!(code, 0);
        }
        Self {
            tcti,
            esys,
            persistent,
            digest,
        }
    }

    fn sign(&self, key: ESYS_TR) {
        let hash_scheme = HashScheme::new(HashingAlgorithm::Sha256);
        let scheme = TPMT_SIG_SCHEME::from(SignatureScheme::EcDsa { hash_scheme });
        let ticket = TPMT_TK_HASHCHECK {
            tag: 0x8024,
            hierarchy: 0x4000_0007,
            digest: TPM2B_DIGEST::default(),
        };
        let (esys, digest, password) = (self.esys, &self.digest, ESYS_TR_PASSWORD);
        let mut signature = ptr::null_mut();
        // SAFETY: as above.
        unsafe {
            let code = Esys_Sign(
                esys,
                key,
                password,
                NONE,
                NONE,
                digest,
                &scheme,
                &ticket,
                &mut signature,
            );
            assert_eq!(code, 0);
            Esys_Free(signature.cast());
        }
    }

    fn load_and_sign(&self, saved: &Saved) {
        let mut context = TPMS_CONTEXT {
            sequence: saved.sequence,
            savedHandle: saved.handle,
            hierarchy: saved.hierarchy,
            ..Default::default()
        };
        context.contextBlob.size = saved.blob.len() as u16;
        context.contextBlob.buffer[..saved.blob.len()].copy_from_slice(&saved.blob);
        let mut key = NONE;
        // SAFETY: as above.
        unsafe {
            assert_eq!(Esys_ContextLoad(self.esys, &context, &mut key), 0);
            self.sign(key);
            assert_eq!(Esys_FlushContext(self.esys, key), 0);
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // SAFETY: both are initialised, and gone afterwards.
        unsafe {
            Esys_Finalize(&mut self.esys);
            Tss2_TctiLdr_Finalize(&mut self.tcti);
        }
    }
}
