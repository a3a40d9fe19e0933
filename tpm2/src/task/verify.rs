//! Verification in the TPM.

use tpm2_abi::{Object, Outcome, SignScheme};
use tss_esapi::constants::tss::TPM2_RC_SIGNATURE;
use tss_esapi::structures::{
    EccParameter, EccSignature, PublicKeyRsa, RsaSignature, Signature, SignatureScheme,
};
use tss_esapi::tss2_esys::TPMT_SIGNATURE;

use super::sign::native;
use crate::codes::tpm_code;
use crate::esys::{Result, digest as tpm_digest};
use crate::tpm::Tpm;

pub fn verify(
    tpm: &Tpm<'_>,
    object: &Object,
    scheme: SignScheme,
    digest: &[u8],
    signature: &[u8],
) -> Result<Outcome> {
    let digest = tpm_digest(digest)?;
    // What can't even be a signature is none.
    let Some(signature) = parsed(native(scheme)?, signature) else {
        return Ok(Outcome::Verified(false));
    };
    let key = tpm.key(object)?;
    match tpm.esys.verify(key.handle, &digest, &signature) {
        Ok(()) => Ok(Outcome::Verified(true)),
        Err(failure) if tpm_code(&failure) == Some(TPM2_RC_SIGNATURE) => {
            Ok(Outcome::Verified(false))
        }
        Err(failure) => Err(failure),
    }
}

fn parsed(scheme: SignatureScheme, bytes: &[u8]) -> Option<TPMT_SIGNATURE> {
    let hash = scheme.signing_scheme().ok()?;
    let rsa = || RsaSignature::create(hash, PublicKeyRsa::try_from(bytes).ok()?).ok();
    let signature = match scheme {
        SignatureScheme::RsaSsa { .. } => Signature::RsaSsa(rsa()?),
        SignatureScheme::RsaPss { .. } => Signature::RsaPss(rsa()?),
        _ => {
            let (r, s) = bytes.split_at_checked(bytes.len() / 2)?;
            let [r, s] = [r, s].map(EccParameter::try_from);
            Signature::EcDsa(EccSignature::create(hash, r.ok()?, s.ok()?).ok()?)
        }
    };
    signature.try_into().ok()
}
