//! The state of the dictionary attack protection.

use tpm2_abi::Lockout;
use tss_esapi::constants::tss::TPM2_PT_LOCKOUT_COUNTER;

use crate::esys::{Esys, Result, told};

/// TPM_PT_LOCKOUT_COUNTER, TPM_PT_MAX_AUTH_FAIL and TPM_PT_LOCKOUT_INTERVAL, which follow each other.
pub fn lockout(esys: &Esys) -> Result<Lockout> {
    let values = esys.properties(TPM2_PT_LOCKOUT_COUNTER, 3)?;
    let value = |at| {
        let property = TPM2_PT_LOCKOUT_COUNTER + at;
        let found = values.iter().find(|(known, _)| *known == property);
        let missing = || told("TPM2_GetCapability", "the TPM does not tell of its lockout");
        found.map(|(_, value)| *value).ok_or_else(missing)
    };
    Ok(Lockout {
        failed: value(0)?,
        most: value(1)?,
        interval: value(2)?,
    })
}
