//! Response codes, and which remedy each one asks for. TPM 2.0 Library part 2, chapter 6.6; TSS 2.0
//! Overview and Common Structures, chapter 3.5.

use tpm2_abi::{Cause, Failure};
use tss_esapi::constants::tss::*;

/// What may help against a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    None,
    /// The TPM is at something else.
    Pause,
    /// All slots are taken.
    Room,
    /// Nobody has sent TPM2_Startup since it was reset.
    StartUp,
    /// What we knew of objects is no longer true.
    Forget,
    /// The connection is lost.
    Renew,
}

pub fn remedy(failure: &Failure) -> Remedy {
    let code = match failure.cause {
        Cause::Code(code) => code,
        Cause::Busy { .. } => return Remedy::Pause,
        Cause::Told(_) | Cause::Replaced => return Remedy::None,
    };
    let Some(code) = of_tpm(code) else {
        return of_layer(code);
    };
    match code {
        TPM2_RC_RETRY
        | TPM2_RC_TESTING
        | TPM2_RC_YIELDED
        | TPM2_RC_NV_RATE
        | TPM2_RC_CANCELED
        | TPM2_RC_NV_UNAVAILABLE => Remedy::Pause,
        TPM2_RC_OBJECT_MEMORY
        | TPM2_RC_SESSION_MEMORY
        | TPM2_RC_MEMORY
        | TPM2_RC_OBJECT_HANDLES
        | TPM2_RC_SESSION_HANDLES
        | TPM2_RC_CONTEXT_GAP => Remedy::Room,
        TPM2_RC_INITIALIZE => Remedy::StartUp,
        TPM2_RC_HANDLE => Remedy::Forget,
        TPM2_RC_REFERENCE_H0..=TPM2_RC_REFERENCE_S6 => Remedy::Forget,
        _ => Remedy::None,
    }
}

/// Whether an authorisation was refused.
pub fn is_refusal(failure: &Failure) -> bool {
    let refused = [TPM2_RC_AUTH_FAIL, TPM2_RC_BAD_AUTH, TPM2_RC_LOCKOUT];
    tpm_code(failure).is_some_and(|code| refused.contains(&code))
}

/// Whether a saved context was refused: it is of a time before the TPM was reset, or damaged.
pub fn is_stale(failure: &Failure) -> bool {
    let is_format_one = |code| code & TPM2_RC_FMT1 != 0;
    tpm_code(failure).is_some_and(|code| is_format_one(code) || code == TPM2_RC_BAD_CONTEXT)
}

/// The TPM's own code, without the number of the parameter, handle or session.
pub fn tpm_code(failure: &Failure) -> Option<u32> {
    match failure.cause {
        Cause::Code(code) => of_tpm(code),
        _ => None,
    }
}

fn of_tpm(code: u32) -> Option<u32> {
    let low = code & 0xffff;
    match code & LAYER {
        TPM_LAYER | MANAGER_TPM_LAYER => {}
        // It speaks for a TPM, too: its own slots may be full.
        MANAGER_LAYER if low >= TPM2_RC_VER1 => {}
        _ => return None,
    }
    Some(match low & TPM2_RC_FMT1 {
        0 => low & 0xfff,
        _ => low & (TPM2_RC_FMT1 | 0x3f),
    })
}

fn of_layer(code: u32) -> Remedy {
    match (code & LAYER, code & 0xffff) {
        (TCTI_LAYER | MANAGER_LAYER, _) => Remedy::Renew,
        (_, BAD_SEQUENCE | NO_CONNECTION | TRY_AGAIN | IO_ERROR) => Remedy::Renew,
        (_, BAD_TR) => Remedy::Forget,
        (_, MALFORMED_RESPONSE | INSUFFICIENT_RESPONSE) => Remedy::Renew,
        _ => Remedy::None,
    }
}

const LAYER: u32 = 0xff << 16;
const TPM_LAYER: u32 = 0;
const TCTI_LAYER: u32 = 10 << 16;
const MANAGER_LAYER: u32 = 11 << 16;
const MANAGER_TPM_LAYER: u32 = 12 << 16;

const BAD_SEQUENCE: u32 = 7;
const NO_CONNECTION: u32 = 8;
const TRY_AGAIN: u32 = 9;
const IO_ERROR: u32 = 10;
const MALFORMED_RESPONSE: u32 = 17;
const INSUFFICIENT_RESPONSE: u32 = 19;
/// ESYS does not know the handle.
const BAD_TR: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: u32) -> Failure {
        Failure {
            function: "TPM2_Sign".into(),
            cause: Cause::Code(code),
            lockout: None,
        }
    }

    #[test]
    fn each_code_has_its_remedy() {
        for (code, expected) in [
            (0x922, Remedy::Pause),
            (0x902, Remedy::Room),
            (0xb0902, Remedy::Room),
            (0xc0903, Remedy::Room),
            (0x100, Remedy::StartUp),
            (0x18b, Remedy::Forget),
            (0x910, Remedy::Forget),
            (0xa000a, Remedy::Renew),
            (0x70007, Remedy::Renew),
            (0x98e, Remedy::None),
            (0x921, Remedy::None),
            (0x7000b, Remedy::None),
        ] {
            assert_eq!(remedy(&failure(code)), expected, "{code:#x}");
        }
    }

    #[test]
    fn a_refused_authorisation_is_known_in_whichever_session_it_was() {
        assert!(
            [0x98e, 0x9a2, 0xa8e, 0x921]
                .map(failure)
                .iter()
                .all(is_refusal)
        );
        assert!(![0x9a3, 0x1df, 0xa000a].map(failure).iter().any(is_refusal));
    }

    #[test]
    fn a_stale_context_is_known() {
        assert!([0x1df, 0x18b, 0x150].map(failure).iter().all(is_stale));
        assert!(![0x902, 0x922, 0xa000a].map(failure).iter().any(is_stale));
    }
}
