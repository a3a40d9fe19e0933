//! The primary keys that all tools share: nobody keeps them, everybody makes the same one anew.

use tpm2_abi::Hierarchy;
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::structures::{
    EccPoint, EccScheme, KeyDerivationFunctionScheme, Public, PublicBuilder, PublicEccParameters,
    PublicKeyRsa, PublicRsaParameters, RsaExponent, RsaScheme, SymmetricDefinitionObject,
};
use tss_esapi::tss2_esys::TPM2B_PUBLIC;

use crate::codes::is_stale;
use crate::esys::{Handle, Held, PASSWORD, Protection, Result, told};
use crate::grant::Grant;
use crate::tpm::Tpm;

/// Which template. All are storage keys with AES-128 in CFB mode, SHA-256, and nothing that makes them
/// unique.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// RSA-2048 instead of ECC P-256.
    pub rsa: bool,
    /// Without dictionary attack protection, as the TSS2 key file draft and tpm2-openssl have it.
    /// tpm2-tss-engine and tpm2-tools leave it on.
    pub no_da: bool,
}

impl Kind {
    /// What a file's parent can be meant to be, the likeliest first.
    pub fn candidates(rsa: bool) -> [Self; 4] {
        [(rsa, true), (rsa, false), (!rsa, false), (!rsa, true)]
            .map(|(rsa, no_da)| Self { rsa, no_da })
    }

    /// As the draft has it.
    pub fn usual(rsa: bool) -> Self {
        Self { rsa, no_da: true }
    }

    /// Whether `area` is that of a key which was made from one of the templates, in any TPM.
    pub fn is_of_one(area: &TPM2B_PUBLIC) -> bool {
        let Ok(area) = Public::try_from(*area) else {
            return false;
        };
        let templates = Self::candidates(false).map(Self::template);
        templates
            .into_iter()
            .flatten()
            .any(|template| without_numbers(&area) == template)
    }

    fn template(self) -> tss_esapi::Result<Public> {
        let attributes = ObjectAttributesBuilder::new()
            .with_fixed_tpm(true)
            .with_fixed_parent(true)
            .with_sensitive_data_origin(true)
            .with_user_with_auth(true)
            .with_no_da(self.no_da)
            .with_restricted(true)
            .with_decrypt(true)
            .build()?;
        let template = PublicBuilder::new()
            .with_object_attributes(attributes)
            .with_name_hashing_algorithm(HashingAlgorithm::Sha256);
        match self.rsa {
            true => template
                .with_public_algorithm(PublicAlgorithm::Rsa)
                .with_rsa_parameters(PublicRsaParameters::new(
                    SymmetricDefinitionObject::AES_128_CFB,
                    RsaScheme::Null,
                    RsaKeyBits::Rsa2048,
                    RsaExponent::default(),
                ))
                .with_rsa_unique_identifier(PublicKeyRsa::default()),
            false => template
                .with_public_algorithm(PublicAlgorithm::Ecc)
                .with_ecc_parameters(PublicEccParameters::new(
                    SymmetricDefinitionObject::AES_128_CFB,
                    EccScheme::Null,
                    EccCurve::NistP256,
                    KeyDerivationFunctionScheme::Null,
                ))
                .with_ecc_unique_identifier(EccPoint::default()),
        }
        .build()
    }
}

/// `area` without the public key itself.
fn without_numbers(area: &Public) -> Public {
    let mut area = area.clone();
    match &mut area {
        Public::Rsa { unique, .. } => *unique = PublicKeyRsa::default(),
        Public::Ecc { unique, .. } => *unique = EccPoint::default(),
        Public::KeyedHash { .. } | Public::SymCipher { .. } => {}
    }
    area
}

impl Tpm<'_> {
    /// A primary key, loaded. `auth` is that of the hierarchy.
    pub fn primary(&self, hierarchy: Hierarchy, kind: Kind, auth: &[u8]) -> Result<Held<'_>> {
        let id = (hierarchy, kind);
        let saved = self.kept.borrow_mut().primaries.get(&id).cloned();
        if let Some(saved) = saved {
            match self.esys.context_load(&saved) {
                Err(failure) if is_stale(&failure) => {
                    self.kept.borrow_mut().primaries.remove(&id);
                }
                loaded => return loaded,
            }
        }
        let primary = self.new_primary(hierarchy.into(), kind, auth)?;
        let saved = self.esys.context_save(primary.handle())?;
        self.kept.borrow_mut().primaries.insert(id, saved);
        Ok(primary)
    }

    fn new_primary(&self, hierarchy: Handle, kind: Kind, auth: &[u8]) -> Result<Held<'_>> {
        let template = public(kind.template())?;
        if auth.is_empty() {
            return self.esys.create_primary(hierarchy, PASSWORD, &template);
        }
        let grant = Grant::new(self, hierarchy, auth, &[], Protection::NONE)?;
        self.esys
            .create_primary(hierarchy, grant.sessions(), &template)
    }
}

/// A template of ours in the TPM's form.
pub fn public(template: tss_esapi::Result<Public>) -> Result<TPM2B_PUBLIC> {
    let converted = template.and_then(TPM2B_PUBLIC::try_from);
    converted.map_err(|error| told("hwkey-tpm2", format!("a template: {error}")))
}
