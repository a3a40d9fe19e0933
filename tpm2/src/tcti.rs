//! What a TCTI's name tells.

use std::path::Path;

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
