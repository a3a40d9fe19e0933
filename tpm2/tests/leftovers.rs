//! What a killed process has left in the slots does not keep the next one from its work.

mod swtpm;

use std::ffi::CString;
use std::ptr;

use openssl::sha::sha256;
use tpm2_abi::{Object, Task};
use tss_esapi::tss2_esys::*;

use swtpm::{ECDSA, P256, Tpm, verifies, wrapped};

#[test]
fn a_key_that_was_left_makes_room() {
    let tpm = Tpm::start();
    let key = key(&tpm);
    tpm.tool(PRIMARY);
    tpm.tool("tpm2_flushcontext -t");
    tpm.tool("tpm2_load -C primary.ctx -u key.pub -r key.priv -c key.ctx");
    tpm.tool("tpm2_flushcontext -t");
    fill(&tpm, "tpm2_readpublic -c key.ctx");
    signs(&tpm, &key);
}

#[test]
fn parents_that_were_left_make_room() {
    let tpm = Tpm::start();
    let key = key(&tpm);
    fill(&tpm, PRIMARY);
    signs(&tpm, &key);
}

#[test]
fn objects_of_others_stay() {
    let tpm = Tpm::start();
    let key = key(&tpm);
    // A storage key that is none of those which everybody makes.
    fill(
        &tpm,
        "tpm2_createprimary -G ecc384:aes256cfb -c primary.ctx",
    );
    let failure = tpm.sign(&key, &sha256(b"message")).unwrap_err();
    assert_eq!(failure.cause, tpm2_abi::Cause::Code(0x902));
    assert_eq!(tpm.loaded().lines().count(), 3);
}

#[test]
fn sessions_that_were_left_make_room() {
    let tpm = Tpm::start();
    tpm.ask(Task::Describe).unwrap();
    let guarded = wrapped(&tpm.create(P256, b"auth"), b"auth");
    leave_sessions(&tpm);
    assert_eq!(tpm.loaded().lines().count(), 3);
    assert!(tpm.sign(&guarded, &sha256(b"message")).is_ok());
    assert_eq!(tpm.loaded(), "");
}

const PRIMARY: &str = "tpm2_createprimary -G ecc256:aes128cfb -c primary.ctx \
     -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt";

fn key(tpm: &Tpm) -> Object {
    let created = tpm.create(P256, b"");
    tpm.write("key.pub", &created.public);
    tpm.write("key.priv", &created.private);
    wrapped(&created, b"")
}

/// tpm2-tools leave objects in the slots.
fn fill(tpm: &Tpm, command: &str) {
    (0..3).for_each(|_| _ = tpm.tool(command));
    assert_eq!(tpm.loaded().lines().count(), 3);
}

fn signs(tpm: &Tpm, key: &Object) {
    let digest = sha256(b"message");
    let signature = tpm.sign(key, &digest).unwrap();
    assert_eq!(tpm.loaded(), "");
    assert!(verifies(&tpm.inspect(key), ECDSA, &digest, &signature));
}

fn leave_sessions(tpm: &Tpm) {
    let conf = CString::new(tpm.tcti()).unwrap();
    let (mut tcti, mut esys, none) = (ptr::null_mut(), ptr::null_mut(), ESYS_TR_NONE);
    let symmetric = TPMT_SYM_DEF {
        algorithm: 0x10,
        ..Default::default()
    };
    // SAFETY: the calls are as tss2_esys.h describes them, and everything outlives them.
    unsafe {
        assert_eq!(Tss2_TctiLdr_Initialize(conf.as_ptr(), &mut tcti), 0);
        assert_eq!(Esys_Initialize(&mut esys, tcti, ptr::null_mut()), 0);
        for kind in [0, 1, 3] {
            let (no, mut session) = (ptr::null(), none);
            let code = Esys_StartAuthSession(
                esys,
                none,
                none,
                none,
                none,
                none,
                no,
                kind,
                &symmetric,
                0x0b,
                &mut session,
            );
            assert_eq!(code, 0);
        }
        Esys_Finalize(&mut esys);
        Tss2_TctiLdr_Finalize(&mut tcti);
    }
}
