//! Which TPM it is.

use tpm2_abi::Description;
use tss_esapi::constants::tss::{
    TPM2_PT_MANUFACTURER, TPM2_PT_VENDOR_STRING_1, TPM2_PT_VENDOR_STRING_4,
};

use crate::esys::Result;
use crate::tpm::Tpm;

pub fn describe(tpm: &Tpm<'_>) -> Result<Description> {
    if let Some(description) = &tpm.kept.borrow().description {
        return Ok(description.clone());
    }
    let count = TPM2_PT_VENDOR_STRING_4 - TPM2_PT_MANUFACTURER + 1;
    let properties = tpm.esys.properties(TPM2_PT_MANUFACTURER, count)?;
    let text = |from, to| {
        let named = properties
            .iter()
            .filter(|(property, _)| (from..=to).contains(property));
        text(named.map(|(_, value)| *value))
    };
    let description = Description {
        manufacturer: text(TPM2_PT_MANUFACTURER, TPM2_PT_MANUFACTURER),
        vendor: text(TPM2_PT_VENDOR_STRING_1, TPM2_PT_VENDOR_STRING_4),
        hashes: hashes(tpm)?,
    };
    tpm.kept.borrow_mut().description = Some(description.clone());
    Ok(description)
}

/// Four characters in each value; what is shorter is filled up with blanks or NULs.
fn text(values: impl Iterator<Item = u32>) -> String {
    let bytes = values.flat_map(u32::to_be_bytes);
    let printable = bytes.filter(|byte| (b' '..=b'~').contains(byte));
    let text: String = printable.map(char::from).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn hashes(tpm: &Tpm<'_>) -> Result<Vec<u16>> {
    /// TPMA_ALGORITHM; keyed hashes, signatures and mask generation have other bits set, too.
    const ATTRIBUTES: u32 = 0b111_0000_1111;
    const HASH: u32 = 1 << 2;
    let algorithms = tpm.esys.algorithms()?.into_iter();
    let hashes = algorithms.filter(|it| it.algProperties & ATTRIBUTES == HASH);
    Ok(hashes.map(|hash| hash.alg).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_four_characters_in_a_number() {
        let values = [0x5357_2020, 0x2054_504d, 0, 0];
        assert_eq!(text(values.into_iter()), "SW TPM");
        assert_eq!(text([0x4942_4d00].into_iter()), "IBM");
    }
}
