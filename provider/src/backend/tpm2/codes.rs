//! Response codes of tss2 (TSS2_RC) and their names: TPM 2.0 Library part 2, 6.6, for those of the TPM,
//! TSS 2.0 Overview 3.1 for those of the layers above it.

pub const AUTH_FAIL: u32 = 0x08e;
pub const BAD_AUTH: u32 = 0x0a2;
pub const LOCKOUT: u32 = 0x921;
pub const AUTH_UNAVAILABLE: u32 = 0x12f;
pub const INTEGRITY: u32 = 0x09f;
pub const HANDLE: u32 = 0x08b;
pub const HIERARCHY: u32 = 0x085;
pub const INITIALIZE: u32 = 0x100;
pub const FAILURE: u32 = 0x101;
pub const POLICY_FAIL: u32 = 0x09d;
pub const PCR_CHANGED: u32 = 0x128;
pub const OBJECT_MEMORY: u32 = 0x902;
pub const SESSION_MEMORY: u32 = 0x903;
pub const SESSION_HANDLES: u32 = 0x905;
pub const ATTRIBUTES: u32 = 0x082;
pub const HASH: u32 = 0x083;
pub const VALUE: u32 = 0x084;
pub const KEY_SIZE: u32 = 0x087;
pub const SCHEME: u32 = 0x092;
pub const SIZE: u32 = 0x095;
pub const CURVE: u32 = 0x0a6;
pub const KEY: u32 = 0x09c;
pub const TYPE: u32 = 0x08a;
pub const NV_UNINITIALIZED: u32 = 0x14a;
pub const NV_AUTHORIZATION: u32 = 0x149;
pub const SENSITIVE: u32 = 0x155;

/// Format zero, errors: 0x100 + number.
const ERRORS: [(u32, &str); 35] = [
    (INITIALIZE, "INITIALIZE"),
    (FAILURE, "FAILURE"),
    (0x103, "SEQUENCE"),
    (0x10b, "PRIVATE"),
    (0x119, "HMAC"),
    (0x120, "DISABLED"),
    (0x121, "EXCLUSIVE"),
    (0x124, "AUTH_TYPE"),
    (0x125, "AUTH_MISSING"),
    (0x126, "POLICY"),
    (0x127, "PCR"),
    (PCR_CHANGED, "PCR_CHANGED"),
    (0x12d, "UPGRADE"),
    (0x12e, "TOO_MANY_CONTEXTS"),
    (AUTH_UNAVAILABLE, "AUTH_UNAVAILABLE"),
    (0x130, "REBOOT"),
    (0x131, "UNBALANCED"),
    (0x142, "COMMAND_SIZE"),
    (0x143, "COMMAND_CODE"),
    (0x144, "AUTHSIZE"),
    (0x145, "AUTH_CONTEXT"),
    (0x146, "NV_RANGE"),
    (0x147, "NV_SIZE"),
    (0x148, "NV_LOCKED"),
    (NV_AUTHORIZATION, "NV_AUTHORIZATION"),
    (NV_UNINITIALIZED, "NV_UNINITIALIZED"),
    (0x14b, "NV_SPACE"),
    (0x14c, "NV_DEFINED"),
    (0x150, "BAD_CONTEXT"),
    (0x151, "CPHASH"),
    (0x152, "PARENT"),
    (0x153, "NEEDS_TEST"),
    (0x154, "NO_RESULT"),
    (SENSITIVE, "SENSITIVE"),
    (0x17f, "MAX_FM0"),
];

/// Format one: 0x080 + number; which parameter, session or handle is meant stands in other bits.
const FORMAT_ONE: [(u32, &str); 36] = [
    (0x081, "ASYMMETRIC"),
    (ATTRIBUTES, "ATTRIBUTES"),
    (HASH, "HASH"),
    (VALUE, "VALUE"),
    (HIERARCHY, "HIERARCHY"),
    (KEY_SIZE, "KEY_SIZE"),
    (0x088, "MGF"),
    (0x089, "MODE"),
    (TYPE, "TYPE"),
    (HANDLE, "HANDLE"),
    (0x08c, "KDF"),
    (0x08d, "RANGE"),
    (AUTH_FAIL, "AUTH_FAIL"),
    (0x08f, "NONCE"),
    (0x090, "PP"),
    (SCHEME, "SCHEME"),
    (SIZE, "SIZE"),
    (0x096, "SYMMETRIC"),
    (0x097, "TAG"),
    (0x098, "SELECTOR"),
    (0x09a, "INSUFFICIENT"),
    (0x09b, "SIGNATURE"),
    (KEY, "KEY"),
    (POLICY_FAIL, "POLICY_FAIL"),
    (INTEGRITY, "INTEGRITY"),
    (0x0a0, "TICKET"),
    (0x0a1, "RESERVED_BITS"),
    (BAD_AUTH, "BAD_AUTH"),
    (0x0a3, "EXPIRED"),
    (0x0a4, "POLICY_CC"),
    (0x0a5, "BINDING"),
    (CURVE, "CURVE"),
    (0x0a7, "ECC_POINT"),
    (0x0a8, "FW_LIMITED"),
    (0x0a9, "SVN_LIMITED"),
    (0x0bf, "MAX_FMT1"),
];

/// Format zero, warnings: 0x900 + number.
const WARNINGS: [(u32, &str); 27] = [
    (0x901, "CONTEXT_GAP"),
    (OBJECT_MEMORY, "OBJECT_MEMORY"),
    (SESSION_MEMORY, "SESSION_MEMORY"),
    (0x904, "MEMORY"),
    (SESSION_HANDLES, "SESSION_HANDLES"),
    (0x906, "OBJECT_HANDLES"),
    (0x907, "LOCALITY"),
    (0x908, "YIELDED"),
    (0x909, "CANCELED"),
    (0x90a, "TESTING"),
    (0x910, "REFERENCE_H0"),
    (0x911, "REFERENCE_H1"),
    (0x912, "REFERENCE_H2"),
    (0x913, "REFERENCE_H3"),
    (0x914, "REFERENCE_H4"),
    (0x915, "REFERENCE_H5"),
    (0x916, "REFERENCE_H6"),
    (0x918, "REFERENCE_S0"),
    (0x919, "REFERENCE_S1"),
    (0x91a, "REFERENCE_S2"),
    (0x91b, "REFERENCE_S3"),
    (0x91c, "REFERENCE_S4"),
    (0x91d, "REFERENCE_S5"),
    (0x91e, "REFERENCE_S6"),
    (0x920, "NV_RATE"),
    (LOCKOUT, "LOCKOUT"),
    (0x922, "RETRY"),
];

/// The layers above the TPM, and what they all mean by their codes.
const LAYERS: [(u32, &str); 6] = [
    (6, "TSS2_FEATURE_RC"),
    (7, "TSS2_ESYS_RC"),
    (8, "TSS2_SYS_RC"),
    (9, "TSS2_MU_RC"),
    (10, "TSS2_TCTI_RC"),
    (11, "TSS2_RESMGR_RC"),
];
pub const TCTI_LAYER: u32 = 10;

/// tss2 has no library for the TCTI.
pub const TCTI_NOT_SUPPORTED: u32 = TCTI_LAYER << 16 | 0x15;

/// TSS2_RESMGR_TPM_RC_LAYER: the resource manager speaks as if it were the TPM.
const RESOURCE_MANAGER_AS_TPM: u32 = 12;

const BASE: [(u32, &str); 27] = [
    (0x01, "GENERAL_FAILURE"),
    (0x02, "NOT_IMPLEMENTED"),
    (0x03, "BAD_CONTEXT"),
    (0x04, "ABI_MISMATCH"),
    (0x05, "BAD_REFERENCE"),
    (0x06, "INSUFFICIENT_BUFFER"),
    (0x07, "BAD_SEQUENCE"),
    (0x08, "NO_CONNECTION"),
    (0x09, "TRY_AGAIN"),
    (0x0a, "IO_ERROR"),
    (0x0b, "BAD_VALUE"),
    (0x0c, "NOT_PERMITTED"),
    (0x0d, "INVALID_SESSIONS"),
    (0x0e, "NO_DECRYPT_PARAM"),
    (0x0f, "NO_ENCRYPT_PARAM"),
    (0x10, "BAD_SIZE"),
    (0x11, "MALFORMED_RESPONSE"),
    (0x12, "INSUFFICIENT_CONTEXT"),
    (0x13, "INSUFFICIENT_RESPONSE"),
    (0x14, "INCOMPATIBLE_TCTI"),
    (0x15, "NOT_SUPPORTED"),
    (0x16, "BAD_TCTI_STRUCTURE"),
    (0x17, "MEMORY"),
    (0x18, "BAD_TR"),
    (0x19, "MULTIPLE_DECRYPT_SESSIONS"),
    (0x1a, "MULTIPLE_ENCRYPT_SESSIONS"),
    (0x1b, "RSP_AUTH_FAILED"),
];

/// TSS2_RC's layer, bits 16 to 23; 0 is the TPM.
pub fn layer(code: u32) -> u32 {
    match code >> 16 & 0xff {
        RESOURCE_MANAGER_AS_TPM => 0,
        layer => layer,
    }
}

/// A code of the TPM without what it is about (parameter, session, handle); `None` if it is of another
/// layer.
pub fn tpm_code(code: u32) -> Option<u32> {
    if layer(code) != 0 {
        return None;
    }
    let code = code & 0xffff;
    Some(match code & 0x080 {
        0 => code,
        _ => code & 0x0bf,
    })
}

/// The symbolic name with the number: `TPM_RC_AUTH_FAIL (0x98e, session 1)`.
pub fn name(code: u32) -> String {
    let Some(tpm) = tpm_code(code) else {
        return layer_name(code);
    };
    let tables = [&ERRORS[..], &FORMAT_ONE[..], &WARNINGS[..]];
    let known = tables.iter().flat_map(|table| table.iter());
    let known = known.into_iter().find(|(number, _)| *number == tpm);
    let about = match code & 0x080 {
        0 => String::new(),
        _ => about(code),
    };
    let number = code & 0xffff;
    match known {
        Some((_, name)) => format!("TPM_RC_{name} (0x{number:03x}{about})"),
        // Bit 10: the vendor's.
        None if code & 0x480 == 0x400 => format!("a code of the TPM's vendor (0x{number:03x})"),
        None => format!("TPM_RC 0x{number:03x}"),
    }
}

/// What a code in format one is about, bits 6 and 8 to 11.
fn about(code: u32) -> String {
    let number = code >> 8 & 0xf;
    match (code & 0x040, number) {
        (_, 0) => String::new(),
        (0, 1..=7) => format!(", handle {number}"),
        (0, _) => format!(", session {}", number - 8),
        _ => format!(", parameter {number}"),
    }
}

fn layer_name(code: u32) -> String {
    let layer = layer(code);
    let prefix = LAYERS.iter().find(|(known, _)| *known == layer);
    let base = BASE.iter().find(|(known, _)| *known == code & 0xffff);
    match (prefix, base) {
        (Some((_, prefix)), Some((_, base))) => format!("{prefix}_{base} (0x{code:x})"),
        _ => format!("TSS2_RC 0x{code:x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_the_standard() {
        for (code, expected) in [
            (0x98e, "TPM_RC_AUTH_FAIL (0x98e, session 1)"),
            (0x9a2, "TPM_RC_BAD_AUTH (0x9a2, session 1)"),
            (0x921, "TPM_RC_LOCKOUT (0x921)"),
            (0x1df, "TPM_RC_INTEGRITY (0x1df, parameter 1)"),
            (0x18b, "TPM_RC_HANDLE (0x18b, handle 1)"),
            (0x100, "TPM_RC_INITIALIZE (0x100)"),
            (0x902, "TPM_RC_OBJECT_MEMORY (0x902)"),
            (0x000c_0902, "TPM_RC_OBJECT_MEMORY (0x902)"),
            (0x000a_000a, "TSS2_TCTI_RC_IO_ERROR (0xa000a)"),
            (0x0007_0018, "TSS2_ESYS_RC_BAD_TR (0x70018)"),
            (0x501, "a code of the TPM's vendor (0x501)"),
            (0x17e, "TPM_RC 0x17e"),
            (0x00ff_0001, "TSS2_RC 0xff0001"),
        ] {
            assert_eq!(name(code), expected);
        }
        assert_eq!(tpm_code(0x98e), Some(AUTH_FAIL));
        assert_eq!(tpm_code(0x0007_0018), None);
    }
}
