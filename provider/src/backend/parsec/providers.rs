//! The service's providers, and their names.

use parsec_client::core::interface::operations::list_providers::ProviderInfo;
use parsec_client::core::interface::requests::ProviderId;

use super::service::Service;
use crate::backend::names::some_of;
use crate::error::{Error, Reason, Result};
use crate::uri::parsec::ParsecProvider;

/// As people call it.
pub fn title(provider: ProviderId) -> &'static str {
    match provider {
        ProviderId::Core => "Core provider",
        ProviderId::MbedCrypto => "Mbed Crypto provider",
        ProviderId::Pkcs11 => "PKCS#11 provider",
        ProviderId::Tpm => "TPM provider",
        ProviderId::TrustedService => "Trusted Service provider",
        ProviderId::CryptoAuthLib => "CryptoAuthLib provider",
    }
}

/// As URIs have it. Core has no keys.
pub fn kind(provider: ProviderId) -> Option<ParsecProvider> {
    Some(match provider {
        ProviderId::Core => return None,
        ProviderId::MbedCrypto => ParsecProvider::MbedCrypto,
        ProviderId::Pkcs11 => ParsecProvider::Pkcs11,
        ProviderId::Tpm => ParsecProvider::Tpm,
        ProviderId::TrustedService => ParsecProvider::TrustedService,
        ProviderId::CryptoAuthLib => ParsecProvider::CryptoAuthLib,
    })
}

/// The provider that a URI names.
pub fn named(provider: ParsecProvider, service: &Service) -> Result<ProviderId> {
    Ok(match provider {
        ParsecProvider::MbedCrypto => ProviderId::MbedCrypto,
        ParsecProvider::Pkcs11 => ProviderId::Pkcs11,
        ParsecProvider::Tpm => ProviderId::Tpm,
        ParsecProvider::TrustedService => ProviderId::TrustedService,
        ParsecProvider::CryptoAuthLib => ProviderId::CryptoAuthLib,
        ParsecProvider::Uuid(uuid) => {
            let providers = service.providers()?;
            let found = providers.iter().find(|one| one.uuid.as_u128() == uuid);
            let missing = || {
                let problem = format!(
                    "{service} has no provider {provider}; {}",
                    there_are(&providers)
                );
                Error::new(Reason::NoSuchToken, problem)
            };
            found.ok_or_else(missing)?.id
        }
    })
}

/// The one that makes new keys where none is named: the first in the service's configuration.
pub fn first(service: &Service) -> Result<ProviderId> {
    let providers = service.providers()?;
    let first = providers.iter().find(|one| one.id != ProviderId::Core);
    first.map(|one| one.id).ok_or_else(|| {
        Error::new(
            Reason::ParsecUnavailable,
            format!("{service} has no provider that keeps keys ([[provider]] in its config.toml)"),
        )
    })
}

/// "it has mbed-crypto, tpm", for messages.
pub fn there_are(providers: &[ProviderInfo]) -> String {
    let kinds = providers.iter().filter_map(|one| kind(one.id));
    let names: Vec<String> = kinds.map(|kind| kind.to_string()).collect();
    format!(
        "it has {} ([[provider]] in its config.toml)",
        some_of(&names)
    )
}
