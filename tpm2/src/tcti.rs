//! What a TCTI's name tells.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use ossl_shim::process::Generation;
use tpm2_abi::Cause;

use crate::esys::{Result, told};

/// Who else can reach the TPM while we are connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// Everybody, and a resource manager gives each their own slots.
    Managed,
    /// Everybody, and all share the few slots of the TPM.
    Slots,
    /// Nobody: the kernel gives the device to one process.
    Exclusive,
}

pub fn sharing(tcti: &str) -> Sharing {
    match device(tcti) {
        // tss2 looks for a resource manager first.
        None if tcti.is_empty() || tcti.contains("tabrmd") => Sharing::Managed,
        None => Sharing::Slots,
        Some(path) if path.contains("tpmrm") => Sharing::Managed,
        Some(_) => Sharing::Exclusive,
    }
}

/// The device that is opened, if one is.
fn device(tcti: &str) -> Option<&str> {
    let (name, path) = tcti.split_once(':').unwrap_or((tcti, ""));
    match path {
        _ if name.starts_with("/dev/") => Some(name),
        _ if !name.contains("device") => None,
        // As tss2 chooses.
        "" if Path::new("/dev/tpmrm0").exists() => Some("/dev/tpmrm0"),
        "" => Some("/dev/tpm0"),
        path => Some(path),
    }
}

/// Whether the device can be opened: tss2 tells only that it can't, and tells it to standard error.
pub fn check_device(tcti: &str) -> Result<()> {
    let Some(path) = device(tcti) else {
        return Ok(());
    };
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let Err(error) = opened else {
        return Ok(());
    };
    let mut failure = told("open", format!("{path}: {}", system_text(&error)));
    if error.kind() == io::ErrorKind::ResourceBusy {
        failure.cause = Cause::Busy { waited: 0 };
    }
    Err(failure)
}

/// The system's words, without Rust's number.
fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Whether tss2 opens a descriptor for good and tells of it; the other TCTIs log an error if they are
/// asked.
pub fn has_descriptor(tcti: &str) -> bool {
    device(tcti).is_some()
}

/// Whether the TPM can be reached by it from this process.
///
/// The TCTI for tpm2-abrmd speaks D-Bus through GLib, whose thread for it isn't there in a child that
/// was forked later: it would wait for ever.
pub fn check_family(tcti: &str) -> Result<()> {
    /// Who used it first.
    static USER: OnceLock<Generation> = OnceLock::new();
    let (name, _) = tcti.split_once(':').unwrap_or((tcti, ""));
    let here = Generation::current();
    if !(name.is_empty() || name.contains("tabrmd")) || *USER.get_or_init(|| here) == here {
        return Ok(());
    }
    Err(told(
        "Tss2_TctiLdr_Initialize",
        "the process that forked this one has used tpm2-abrmd, which can't be reached from here \
         then (GLib's D-Bus thread is missing); device:/dev/tpmrm0 has no such limit",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tcti_tells_who_shares_the_tpm() {
        for (tcti, expected) in [
            ("tabrmd", Sharing::Managed),
            ("tabrmd:bus_type=session", Sharing::Managed),
            ("device:/dev/tpmrm0", Sharing::Managed),
            ("device:/dev/tpm0", Sharing::Exclusive),
            ("libtss2-tcti-device.so.0:/dev/tpm0", Sharing::Exclusive),
            ("swtpm:host=127.0.0.1,port=2321", Sharing::Slots),
            ("mssim", Sharing::Slots),
            ("cmd:tpm2_send -T tabrmd", Sharing::Managed),
            ("/dev/tpmrm1", Sharing::Managed),
        ] {
            assert_eq!(sharing(tcti), expected, "{tcti}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_told() {
        let failure = check_device("device:/dev/hwkey-none").unwrap_err();
        let text = "/dev/hwkey-none: No such file or directory";
        assert_eq!(failure.cause, Cause::Told(text.into()));
        assert!(check_device("device:/dev/null").is_ok());
        assert!(check_device("swtpm:path=/dev/hwkey-none").is_ok());
    }
}
