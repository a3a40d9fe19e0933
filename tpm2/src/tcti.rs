//! What a TCTI's name tells.

use std::path::Path;
use std::sync::OnceLock;

use ossl_shim::process::Generation;

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
    let (name, conf) = tcti.split_once(':').unwrap_or((tcti, ""));
    match name {
        _ if name.contains("tabrmd") => Sharing::Managed,
        "device" if conf.is_empty() => match Path::new("/dev/tpmrm0").exists() {
            true => Sharing::Managed,
            false => Sharing::Exclusive,
        },
        _ if name.contains("device") || name.starts_with('/') => match tcti.contains("tpmrm") {
            true => Sharing::Managed,
            false => Sharing::Exclusive,
        },
        // tss2 looks for a resource manager first.
        "" => Sharing::Managed,
        _ => Sharing::Slots,
    }
}

/// Whether tss2 opens a descriptor for good and tells of it; the other TCTIs log an error if they are
/// asked.
pub fn has_descriptor(tcti: &str) -> bool {
    let (name, _) = tcti.split_once(':').unwrap_or((tcti, ""));
    name.contains("device") || name.starts_with('/')
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
        ] {
            assert_eq!(sharing(tcti), expected, "{tcti}");
        }
    }
}
