//! What is behind the service's providers.

use std::path::Path;

use crate::{Kind, PIN, Run, SOFTHSM, Token, Tpm};

/// A provider that runs on any machine, with its number in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsecProvider {
    MbedCrypto = 1,
    Pkcs11 = 2,
    Tpm = 3,
}

impl ParsecProvider {
    pub const ALL: [Self; 3] = [Self::MbedCrypto, Self::Pkcs11, Self::Tpm];

    /// In URIs.
    pub fn name(self) -> &'static str {
        match self {
            Self::MbedCrypto => "mbed-crypto",
            Self::Pkcs11 => "pkcs11",
            Self::Tpm => "tpm",
        }
    }

    /// In messages.
    pub fn title(self) -> &'static str {
        match self {
            Self::MbedCrypto => "Mbed Crypto provider",
            Self::Pkcs11 => "PKCS#11 provider",
            Self::Tpm => "TPM provider",
        }
    }
}

/// The hardware of the providers that there are.
pub(super) struct Hardware {
    pub providers: Vec<ParsecProvider>,
    pub tpm: Option<Tpm>,
    token: Option<Token>,
}

impl Hardware {
    pub fn new(dir: &Path, providers: &[ParsecProvider]) -> Self {
        let has = |provider| providers.contains(&provider);
        Self {
            providers: providers.to_vec(),
            tpm: has(ParsecProvider::Tpm).then(|| Tpm::start(dir)),
            token: has(ParsecProvider::Pkcs11).then(|| Token::new(Kind::SoftHsm, "parsec")),
        }
    }

    /// A service that runs as `user`, and may use it.
    pub fn for_service(&self, run: Run, user: &str) -> Run {
        if let Some(token) = &self.token {
            token.give_to(user);
        }
        let environment = self.token.as_ref().map(Token::environment);
        let environment = environment.unwrap_or_default();
        environment
            .iter()
            .fold(run, |run, (name, value)| run.env(name, value))
    }

    pub fn move_token(&self, from: &str, to: &str) {
        let dir = self.token.as_ref().expect("a token").dir();
        std::fs::rename(dir.join(from), dir.join(to)).expect("a token's files");
    }

    /// What its `[[provider]]` says besides its key_info_manager.
    pub fn provider_lines(&self, provider: ParsecProvider) -> String {
        match provider {
            ParsecProvider::MbedCrypto => "provider_type = \"MbedCrypto\"\n".into(),
            ParsecProvider::Pkcs11 => {
                let token = self.token.as_ref().expect("a token");
                format!(
                    "provider_type = \"Pkcs11\"\nlibrary_path = \"{SOFTHSM}\"\nserial_number = \"{}\"\n\
                     user_pin = \"{PIN}\"\n",
                    token.serial(token.label())
                )
            }
            ParsecProvider::Tpm => {
                let tpm = self.tpm.as_ref().expect("a TPM");
                format!(
                    "provider_type = \"Tpm\"\ntcti = \"{}\"\nowner_hierarchy_auth = \"\"\n",
                    tpm.direct_tcti()
                )
            }
        }
    }
}
