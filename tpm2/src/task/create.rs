//! New keys.

use std::sync::Arc;

use tpm2_abi::{Created, Outcome, Parent, Source, Template};
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::structures::{
    EccPoint, EccScheme, KeyDerivationFunctionScheme, Public, PublicBuilder, PublicEccParameters,
    PublicKeyRsa, PublicRsaParameters, RsaExponent, RsaScheme, SymmetricDefinitionObject,
};

use super::describe::describe;
use crate::area::area;
use crate::esys::{Protection, Result, private_bytes, public_bytes};
use crate::grant::Grant;
use crate::kept::Known;
use crate::primary::{Kind, public};
use crate::tpm::Tpm;

pub fn create(
    tpm: &Tpm<'_>,
    parent: Parent,
    parent_auth: &[u8],
    template: Template,
    auth: &[u8],
) -> Result<Outcome> {
    let template = public(native(template, auth.is_empty()))?;
    // Other tools make the parent of what is written from the usual template.
    let kind = Kind::usual(matches!(parent, Parent::Primary { rsa: true, .. }));
    let above = tpm.parent(parent, kind, parent_auth)?;
    let handle = above.held.handle();
    let protection = match auth {
        [] => Protection::NONE,
        _ => Protection::COMMAND,
    };
    let grant = Grant::new(tpm, handle, above.auth, &[], protection)?;
    let new = tpm.esys.create(handle, grant.sessions(), &template, auth)?;
    drop(grant);
    let grant = Grant::new(tpm, handle, above.auth, &[], Protection::NONE)?;
    let key = tpm
        .esys
        .load(handle, grant.sessions(), &new.private, &new.public)?;
    let area = area(&new.public, tpm.esys.name(key.handle())?)?;
    let created = Created {
        public: public_bytes(&new.public)?,
        private: private_bytes(&new.private),
        area,
        tpm: describe(tpm)?,
    };
    let source = Source::Wrapped {
        parent,
        public: created.public.clone(),
        private: created.private.clone(),
        secret: None,
        policy: Vec::new(),
    };
    let known = Known {
        saved: tpm.esys.context_save(key.handle())?,
        area: Arc::new(created.area.clone()),
    };
    tpm.kept.borrow_mut().keys.insert(source, known);
    Ok(Outcome::Created(created))
}

/// A key for everything. What nobody can guess needs no protection against guessing, and is not locked
/// when others guess.
fn native(template: Template, has_no_auth: bool) -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(has_no_auth)
        .with_decrypt(true)
        .with_sign_encrypt(true)
        .build()?;
    let builder = PublicBuilder::new()
        .with_object_attributes(attributes)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256);
    match template {
        Template::Rsa { bits, exponent } => builder
            .with_public_algorithm(PublicAlgorithm::Rsa)
            .with_rsa_parameters(PublicRsaParameters::new(
                SymmetricDefinitionObject::Null,
                RsaScheme::Null,
                RsaKeyBits::try_from(bits)?,
                RsaExponent::try_from(exponent)?,
            ))
            .with_rsa_unique_identifier(PublicKeyRsa::default()),
        Template::Ecc { curve } => builder
            .with_public_algorithm(PublicAlgorithm::Ecc)
            .with_ecc_parameters(PublicEccParameters::new(
                SymmetricDefinitionObject::Null,
                EccScheme::Null,
                EccCurve::try_from(curve)?,
                KeyDerivationFunctionScheme::Null,
            ))
            .with_ecc_unique_identifier(EccPoint::default()),
    }
    .build()
}
