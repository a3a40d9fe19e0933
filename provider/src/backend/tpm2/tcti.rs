//! How the TPM is reached: a TCTI of tss2, `NAME:CONF`.

use std::fs::File;
use std::path::Path;

use crate::config::Config;
use crate::environment::trusted_variable;
use crate::error::{Error, Reason, Result, system_text};

/// What other tools are told by, in tpm2-openssl's order.
const VARIABLES: [&str; 3] = ["TPM2OPENSSL_TCTI", "TPM2TOOLS_TCTI", "TCTI"];

/// The kernel's resource manager, the device without one, and tpm2-abrmd's way.
const MANAGED_DEVICE: &str = "/dev/tpmrm0";
const BARE_DEVICE: &str = "/dev/tpm0";
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";
const BROKER: &str = "/usr/share/dbus-1/system-services/com.intel.tss2.Tabrmd.service";

const NO_TPM: &str = "enable the TPM in the firmware and its driver in the kernel (dmesg | grep -i tpm), \
                      or say where it is: tpm2-tcti = … in hwkey's section of openssl.cnf";

/// The TCTI that openssl.cnf, the environment or the machine names.
pub fn chosen(config: &Config) -> Result<String> {
    if let Some(tcti) = &config.tpm2_tcti {
        return Ok(tcti.clone());
    }
    let named = VARIABLES
        .iter()
        .find_map(|name| trusted_variable(name)?.into_string().ok());
    if let Some(tcti) = named {
        return Ok(tcti);
    }
    let exists = |path: &str| Path::new(path).exists();
    if exists(MANAGED_DEVICE) {
        return Ok(format!("device:{MANAGED_DEVICE}"));
    }
    if exists(SYSTEM_BUS) && exists(BROKER) {
        return Ok("tabrmd".into());
    }
    if exists(BARE_DEVICE) {
        return Ok(format!("device:{BARE_DEVICE}"));
    }
    Err(Error::new(
        Reason::TpmUnavailable,
        format!(
            "looking for a TPM: there is no {MANAGED_DEVICE}, no tpm2-abrmd and no {BARE_DEVICE}; {NO_TPM}"
        ),
    ))
}

/// tss2 has no way of this kind, TSS2_TCTI_RC_NOT_SUPPORTED: each is a library of its own.
pub fn unsupported(tcti: &str) -> String {
    let (kind, _) = tcti.split_once(':').unwrap_or((tcti, ""));
    match kind {
        "device" | "tabrmd" | "swtpm" | "mssim" | "cmd" | "pcap" => format!(
            "tss2's library for it may be missing: install libtss2-tcti-{kind}0 (Debian) or \
             libtss2-tcti-{kind} (Yocto); if it is there: {}",
            trouble(tcti)
        ),
        _ => "tss2 knows no such way; tpm2-tcti is device:/dev/tpmrm0, tabrmd, or \
              swtpm:host=…,port=…"
            .into(),
    }
}

/// What can be told of a TPM that can't be reached, and the cure.
pub fn trouble(tcti: &str) -> String {
    let (kind, conf) = tcti.split_once(':').unwrap_or((tcti, ""));
    match kind {
        "device" => {
            let path = if conf.is_empty() { MANAGED_DEVICE } else { conf };
            match File::options().read(true).write(true).open(path) {
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => format!(
                    "{path}: {}; let the program's user into the group of the device (usermod -aG tss USER), \
                     and start it anew",
                    system_text(&error)
                ),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    format!("{path}: {}; {NO_TPM}", system_text(&error))
                }
                Err(error) => format!(
                    "{path}: {}; /dev/tpmrm0 is the device that several programs can share",
                    system_text(&error)
                ),
                Ok(_) => format!("{path} can be opened; dmesg may tell more"),
            }
        }
        "tabrmd" => "start tpm2-abrmd (systemctl start tpm2-abrmd), and let the program's user speak to it: \
                     usermod -aG tss USER; or use tpm2-tcti = device:/dev/tpmrm0"
            .into(),
        "swtpm" | "mssim" => "start it, or correct host and port; hwkey reaches it again by itself".into(),
        _ => "correct tpm2-tcti in hwkey's section of openssl.cnf, or the variable TPM2OPENSSL_TCTI, \
              TPM2TOOLS_TCTI or TCTI"
            .into(),
    }
}
