//! Failed questions as errors: what the code means here, and what to do.

use tpm2_abi::{Cause, Failure, Lockout};

use super::codes::{self, TCTI_LAYER, layer, tpm_code};
use super::tcti::{trouble, unsupported};
use super::tpm::Tpm;
use crate::error::{Error, Reason};

/// The error for a failed question: `attempted` says what, at which TPM and with which key.
#[track_caller]
pub fn error(attempted: &str, tpm: &Tpm, failure: &Failure) -> Error {
    let function = &failure.function;
    let (reason, text) = match &failure.cause {
        Cause::Code(code) => {
            let (reason, cure) = meaning(*code, function, tpm);
            // What is not counted says nothing of the tries.
            let counts = tpm_code(*code) != Some(codes::BAD_AUTH);
            let lockout = failure.lockout.filter(|_| counts);
            let tries = lockout.map(state).unwrap_or_default();
            let name = codes::name(*code);
            (reason, format!("{function}: {name}{tries}; {cure}"))
        }
        // The device, by its path.
        Cause::Told(problem) if function == "open" => {
            let cure = trouble(&tpm.tcti);
            let text = match cure.contains(problem) {
                true => cure,
                false => format!("{problem}; {cure}"),
            };
            (Reason::TpmUnavailable, text)
        }
        Cause::Told(problem) => (
            Reason::OperationNotAllowed,
            format!("{function}: {problem}"),
        ),
        Cause::Replaced => (
            Reason::KeyChanged,
            "another object is in the key's place now; load the key again".into(),
        ),
        Cause::Busy { waited } => (
            Reason::TokenFailed,
            format!(
                "{function}: others have kept the TPM for {} seconds; try again, or see who uses it \
                 (fuser -v /dev/tpm*)",
                waited / 1000
            ),
        ),
    };
    Error::new(reason, format!("{attempted}: {text}"))
}

/// Whether an authorisation value was refused.
pub fn is_refusal(failure: &Failure) -> bool {
    matches!(&failure.cause, Cause::Code(code)
        if matches!(tpm_code(*code), Some(codes::AUTH_FAIL | codes::BAD_AUTH)))
}

/// Whether it was the parent's, or that of its hierarchy.
pub fn is_of_parent(failure: &Failure) -> bool {
    OF_PARENT.contains(&failure.function.as_str())
}

/// The commands that take it.
const OF_PARENT: [&str; 4] = [
    "TPM2_Load",
    "TPM2_Create",
    "TPM2_CreatePrimary",
    "TPM2_Import",
];

/// The tries that are left, for people.
fn state(lockout: Lockout) -> String {
    let left = lockout.most.saturating_sub(lockout.failed);
    let seconds = lockout.interval;
    match left {
        0 => format!(
            " (locked: {} wrong tries; one is forgotten every {seconds} seconds)",
            lockout.failed
        ),
        1 => format!(" (one try is left; one is given back every {seconds} seconds)"),
        left => format!(" ({left} tries are left; one is given back every {seconds} seconds)"),
    }
}

fn meaning(code: u32, function: &str, tpm: &Tpm) -> (Reason, String) {
    let Some(tpm_code) = tpm_code(code) else {
        let reason = match layer(code) {
            TCTI_LAYER => Reason::TpmUnavailable,
            _ if function.starts_with("Tss2_Tcti") || function == "Esys_Initialize" => {
                Reason::TpmUnavailable
            }
            _ => Reason::TokenFailed,
        };
        let cure = match code {
            codes::TCTI_NOT_SUPPORTED => unsupported(&tpm.tcti),
            _ if reason == Reason::TpmUnavailable => trouble(&tpm.tcti),
            _ => UNEXPECTED.into(),
        };
        return (reason, cure);
    };
    let (reason, cure) = of_parents_authorisation(tpm_code, function)
        .or_else(|| of_authorisation(tpm_code))
        .or_else(|| of_decryption(tpm_code, function))
        .or_else(|| of_object(tpm_code, function))
        .unwrap_or_else(|| of_tpm(tpm_code));
    (reason, cure.to_owned())
}

fn of_parents_authorisation(code: u32, function: &str) -> Option<(Reason, &'static str)> {
    let is_refused = [codes::AUTH_FAIL, codes::BAD_AUTH].contains(&code);
    (is_refused && OF_PARENT.contains(&function)).then_some((
        Reason::PinRefused,
        "it is the authorisation value of the key's parent, or its hierarchy's: say where that is, with \
         tpm2-parent-pin-source = file:… in openssl.cnf, or ?parent-pin-source=file:… in the URI",
    ))
}

fn of_authorisation(code: u32) -> Option<(Reason, &'static str)> {
    Some(match code {
        codes::AUTH_FAIL => (
            Reason::PinRefused,
            "correct the authorisation value at its source; this process does not send it again until it \
             changes",
        ),
        codes::BAD_AUTH => (
            Reason::PinRefused,
            "correct the authorisation value at its source (wrong ones are not counted here); this process \
             does not send it again until it changes",
        ),
        codes::LOCKOUT => (
            Reason::PinLocked,
            "the TPM takes no authorisation value that counts: wait, or end it with \
             tpm2_dictionarylockout --clear-lockout",
        ),
        codes::AUTH_UNAVAILABLE => (
            Reason::OperationNotAllowed,
            "the key can be used by its policy only (userWithAuth is clear): use the TSS2 PRIVATE KEY file \
             that has the policy",
        ),
        codes::POLICY_FAIL | codes::PCR_CHANGED => (
            Reason::OperationNotAllowed,
            "the key's policy is not satisfied: PCR values are others than when the key was made, or the \
             file's policy is not the key's",
        ),
        codes::HIERARCHY => (
            Reason::TpmUnavailable,
            "the hierarchy of the parent is disabled; enable it in the firmware",
        ),
        _ => return None,
    })
}

/// What TPMs say of a wrong padding.
fn of_decryption(code: u32, function: &str) -> Option<(Reason, &'static str)> {
    let is_padding = [codes::VALUE, codes::SIZE, codes::FAILURE].contains(&code);
    (is_padding && function == "TPM2_RSA_Decrypt").then_some((
        Reason::InvalidData,
        "the data was not encrypted for this key, or with another padding",
    ))
}

fn of_object(code: u32, function: &str) -> Option<(Reason, &'static str)> {
    // Some TPMs say so of a size that they don't have.
    let is_size = code == codes::VALUE && function == "TPM2_Create";
    Some(match code {
        codes::INTEGRITY | codes::SENSITIVE if function.starts_with("TPM2_ContextLoad") => (
            Reason::ForeignKey,
            "a saved context is good until the TPM starts anew; save it again, or make the object \
             persistent (tpm2_evictcontrol)",
        ),
        codes::INTEGRITY | codes::SENSITIVE => (
            Reason::ForeignKey,
            "another TPM, another parent or a TPM that was cleared since has made it; take the file to its \
             TPM, or make a new key",
        ),
        codes::HANDLE => (Reason::NoSuchKey, "there is no such object in the TPM"),
        codes::NV_UNINITIALIZED => (
            Reason::NoSuchKey,
            "nothing has been written to the NV index; write the certificate with tpm2_nvwrite",
        ),
        codes::NV_AUTHORIZATION => (
            Reason::OperationNotAllowed,
            "the NV index may not be read; define it with ownerread or authread",
        ),
        _ if is_size || [codes::KEY_SIZE, codes::CURVE].contains(&code) => (
            Reason::UnsupportedKey,
            "the TPM has no keys of this size or on this curve; tpm2_getcap ecc-curves, or tpm2_testparms \
             rsa2048, tells which it has",
        ),
        codes::ATTRIBUTES | codes::KEY | codes::TYPE if OF_PARENT.contains(&function) => (
            Reason::OperationNotAllowed,
            "the parent is no storage key (restricted, decrypt); tpm2_readpublic shows its attributes",
        ),
        codes::ATTRIBUTES | codes::KEY | codes::TYPE => (
            Reason::OperationNotAllowed,
            "the key's attributes do not allow it; tpm2_readpublic shows them",
        ),
        codes::SCHEME | codes::HASH | codes::VALUE | codes::SIZE => (
            Reason::OperationNotAllowed,
            "the TPM or the key does not take this scheme, digest or length; tpm2_getcap algorithms shows \
             what the TPM has",
        ),
        _ => return None,
    })
}

fn of_tpm(code: u32) -> (Reason, &'static str) {
    match code {
        codes::OBJECT_MEMORY | codes::SESSION_MEMORY | codes::SESSION_HANDLES => (
            Reason::TokenFailed,
            "others fill the few slots of the TPM: use a resource manager (tpm2-tcti = \
             device:/dev/tpmrm0), or flush what was left behind (tpm2_flushcontext -t, \
             tpm2_flushcontext -l)",
        ),
        codes::INITIALIZE => (
            Reason::TpmUnavailable,
            "the TPM has not been started; the firmware does it, or tpm2_startup -c",
        ),
        codes::FAILURE => (
            Reason::TokenFailed,
            "the TPM is in failure mode: switch the machine off and on (swtpm: start it with --flags \
             not-need-init,startup-clear and an absolute dir=)",
        ),
        _ => (Reason::TokenFailed, UNEXPECTED),
    }
}

const UNEXPECTED: &str = "tpm2_rc_decode tells more of the code; HWKEY_LOG=debug shows the steps";

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(function: &str, code: u32, lockout: Option<Lockout>) -> Error {
        let tpm = Tpm {
            tcti: "swtpm:port=1".into(),
            description: None,
        };
        error(
            "signing",
            &tpm,
            &Failure {
                function: function.into(),
                cause: Cause::Code(code),
                lockout,
            },
        )
    }

    #[test]
    fn a_refused_value_is_told_with_the_tries_that_are_left() {
        let lockout = Lockout {
            failed: 30,
            most: 32,
            interval: 600,
        };
        let error = failure("TPM2_Sign", 0x98e, Some(lockout));
        assert_eq!(error.reason(), Reason::PinRefused);
        let text = error.message();
        assert!(text.starts_with(
            "signing: TPM2_Sign: TPM_RC_AUTH_FAIL (0x98e, session 1) (2 tries are left; one is"
        ));
    }

    #[test]
    fn a_device_that_can_not_be_opened_is_no_fault_of_the_key() {
        let tpm = Tpm {
            tcti: "device:/dev/hwkey-none".into(),
            description: None,
        };
        let failure = Failure {
            function: "open".into(),
            cause: Cause::Told("/dev/hwkey-none: No such file or directory".into()),
            lockout: None,
        };
        let error = error("loading", &tpm, &failure);
        assert_eq!(error.reason(), Reason::TpmUnavailable);
        let text = error.message();
        assert!(text.starts_with("loading: /dev/hwkey-none: No such file or directory; enable"));
    }

    #[test]
    fn a_file_of_another_tpm_is_called_so() {
        assert_eq!(
            failure("TPM2_Load", 0x1df, None).reason(),
            Reason::ForeignKey
        );
        let lost = failure("TPM2_Load", 0x000a_000a, None);
        assert_eq!(lost.reason(), Reason::TpmUnavailable);
        assert!(lost.message().contains("TSS2_TCTI_RC_IO_ERROR"));
    }
}
