//! PKCS#11 result codes: their names, what they mean for us, and what to do about them.

use cryptoki::error::{Error as CryptokiError, RvError};

use crate::error::{Error, Reason};

/// The symbolic name of a result code: `CKR_PIN_INCORRECT`. cryptoki's own text quotes the
/// standard ("An invalid value was specified … See Section 4.1") and helps nobody.
pub fn name(code: RvError) -> String {
    match code {
        RvError::VendorDefined(number) => format!("CKR_VENDOR_DEFINED (0x{number:08x})"),
        RvError::UnknownErrorCode(number) => format!("CKR_ 0x{number:x}"),
        // cryptoki names its variants after the codes: PinIncorrect is CKR_PIN_INCORRECT.
        known => format!("CKR_{}", upper_snake(&format!("{known:?}"))),
    }
}

/// What went wrong in one call, in the module's words: `C_Login: CKR_PIN_INCORRECT`.
pub fn describe(error: &CryptokiError) -> String {
    match error {
        CryptokiError::Pkcs11(code, function) => format!("C_{function:?}: {}", name(*code)),
        CryptokiError::LibraryLoading(error) => root_cause(error),
        CryptokiError::MissingSymbol(symbol) => format!("it has no {symbol}"),
        CryptokiError::NullFunctionPointer => "the module lacks a function".into(),
        CryptokiError::InvalidValue => "the module answered with an impossible length".into(),
        other => format!("{other:?}"),
    }
}

/// dlerror's text is the innermost source.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The result code of an error, if it is one.
pub fn code(error: &CryptokiError) -> Option<RvError> {
    match error {
        CryptokiError::Pkcs11(code, _) => Some(*code),
        _ => None,
    }
}

/// Whether the session, the login, the handle or the device is gone, so that opening, logging in
/// and finding anew may help.
pub fn is_loss(error: &CryptokiError) -> bool {
    matches!(
        code(error),
        Some(
            RvError::CryptokiNotInitialized
                | RvError::DeviceError
                | RvError::DeviceRemoved
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::SlotIdInvalid
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::UserNotLoggedIn
        )
    )
}

/// The same of a card: that is all that OpenSC says when pcscd was restarted.
pub fn may_be_loss_of_card(error: &CryptokiError) -> bool {
    matches!(
        code(error),
        Some(RvError::GeneralError | RvError::FunctionFailed)
    )
}

/// Whether a loss (see [`is_loss`]) is one of the login or of an object only.
pub fn leaves_sessions_open(error: &CryptokiError) -> bool {
    matches!(
        code(error),
        Some(RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid | RvError::UserNotLoggedIn)
    )
}

/// The error for a failed call: `attempted` says what and on which token and key.
#[track_caller]
pub fn failed(attempted: &str, error: &CryptokiError) -> Error {
    let (reason, cure) = match code(error) {
        Some(code) => meaning(code),
        None => (
            Reason::TokenFailed,
            "the module is faulty; report it to its vendor",
        ),
    };
    Error::new(reason, format!("{attempted}: {}; {cure}", describe(error)))
}

fn meaning(code: RvError) -> (Reason, &'static str) {
    match code {
        RvError::PinIncorrect => (
            Reason::PinRefused,
            "correct the PIN at its source; this process does not send it again until it changes",
        ),
        RvError::PinInvalid | RvError::PinLenRange => (
            Reason::PinRefused,
            "the token does not take a PIN of this length or these characters",
        ),
        RvError::PinExpired => (
            Reason::PinRefused,
            "set a new PIN with the token's own tool, or with pkcs11-tool --change-pin",
        ),
        RvError::PinLocked => (
            Reason::PinLocked,
            "unblock it with the PUK or the security officer's PIN (pkcs11-tool --init-pin)",
        ),
        RvError::UserPinNotInitialized => (
            Reason::PinRequired,
            "the token has no user PIN yet; set one with pkcs11-tool --init-pin",
        ),
        RvError::KeyFunctionNotPermitted => (
            Reason::OperationNotAllowed,
            "the key's CKA_SIGN is false; make a key with usage \"sign\"",
        ),
        RvError::MechanismInvalid | RvError::FunctionNotSupported => (
            Reason::OperationNotAllowed,
            "the token does not have this mechanism; pkcs11-tool --list-mechanisms shows which it \
             has",
        ),
        RvError::MechanismParamInvalid => (
            Reason::OperationNotAllowed,
            "the token does not take these parameters (digest, salt length)",
        ),
        RvError::KeySizeRange | RvError::CurveNotSupported => (
            Reason::UnsupportedKey,
            "the token's mechanism does not take a key of this size",
        ),
        RvError::DataLenRange | RvError::DataInvalid => (
            Reason::InvalidData,
            "the data is too long for the key, or not what the mechanism signs",
        ),
        RvError::SessionCount => (
            Reason::TokenFailed,
            "all sessions of the token are in use; close other programs or raise its limit",
        ),
        RvError::CantLock | RvError::NeedToCreateThreads => (
            Reason::ModuleUnavailable,
            "the module can't be used by programs with threads",
        ),
        RvError::TokenNotPresent | RvError::DeviceRemoved | RvError::TokenNotRecognized => {
            (Reason::NoSuchToken, "insert the token, then try again")
        }
        RvError::UserNotLoggedIn => (
            Reason::PinRequired,
            "give a PIN: pin-source in openssl.cnf or in the URI",
        ),
        RvError::HostMemory => (Reason::TokenFailed, "the machine is out of memory"),
        RvError::DeviceMemory => (
            Reason::TokenFailed,
            "the token's memory is full; delete what is not needed any more, or close other programs",
        ),
        RvError::TokenWriteProtected | RvError::SessionReadOnly => (
            Reason::TokenFailed,
            "the token is read-only; unlock it, or let this user write to it",
        ),
        _ => (
            Reason::TokenFailed,
            "look into the log of the token's own software; HWKEY_LOG=debug shows the steps",
        ),
    }
}

fn upper_snake(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 8);
    for (index, character) in camel.chars().enumerate() {
        if character.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(character.to_ascii_uppercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn codes_have_their_standard_names() {
        let names = [
            (RvError::PinIncorrect, "CKR_PIN_INCORRECT"),
            (RvError::SlotIdInvalid, "CKR_SLOT_ID_INVALID"),
            (
                RvError::CryptokiAlreadyInitialized,
                "CKR_CRYPTOKI_ALREADY_INITIALIZED",
            ),
            (
                RvError::SessionReadWriteSoExists,
                "CKR_SESSION_READ_WRITE_SO_EXISTS",
            ),
            (RvError::RandomNoRng, "CKR_RANDOM_NO_RNG"),
            (RvError::NextOtp, "CKR_NEXT_OTP"),
            (RvError::FipsSelfTestFailed, "CKR_FIPS_SELF_TEST_FAILED"),
        ];
        for (code, expected) in names {
            assert_eq!(name(code), expected);
        }
        assert_eq!(
            name(RvError::VendorDefined(0x8000_0001)),
            "CKR_VENDOR_DEFINED (0x80000001)"
        );
    }

    #[test]
    fn messages_never_quote_the_standard() {
        for code in [
            RvError::ArgumentsBad,
            RvError::AttributeValueInvalid,
            RvError::PinLocked,
        ] {
            let text = failed("signing", &CryptokiError::Pkcs11(code, Function::Sign));
            assert!(!text.message().to_lowercase().contains("section"), "{text}");
            assert!(text.message().contains("C_Sign: CKR_"), "{text}");
        }
    }
}
