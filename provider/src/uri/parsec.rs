//! `parsec:` URIs: `parsec:KEYNAME`, or in RFC 7512's form. Parsec has none of its own.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_encode;

use super::part::{ESCAPED, Part, attributes};
use crate::error::Result;

pub const SCHEME: &str = "parsec";

/// What messages about a URI of this scheme refer to.
const SYNTAX: &str = "docs/parsec.md";

const KNOWN: &str = "parsec: has the key's name, or name=…, then provider=tpm (or pkcs11, mbed-crypto, \
                     trusted-service, cryptoauthlib, a UUID), app=…, and after \"?\" socket=…, auth=…, \
                     timeout=…, separated by \"&\"";

/// A key of a Parsec service, or all of an application's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsecUri {
    pub key: Option<String>,
    pub provider: Option<ParsecProvider>,
    /// The application's name, for the service's Direct authenticator.
    pub app: Option<String>,
    pub socket: Option<PathBuf>,
    pub auth: Option<ParsecAuth>,
    /// For each request.
    pub timeout: Option<Duration>,
}

/// A provider of the service, by kind or by UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsecProvider {
    MbedCrypto,
    Pkcs11,
    Tpm,
    TrustedService,
    CryptoAuthLib,
    /// Big-endian, as it is written.
    Uuid(u128),
}

/// How the service learns who asks; the names are those of its `auth_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsecAuth {
    /// `UnixPeerCredentials`: the effective user id of the process.
    Unix,
    /// `Direct`: a name.
    Direct,
    /// `JwtSvid`: a token.
    JwtSvid,
}

impl ParsecUri {
    /// Parses what follows `parsec:`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut uri = Self::default();
        for (index, part) in attributes(SCHEME, SYNTAX, text)?.iter().enumerate() {
            match (part.in_query, part.value) {
                (true, _) => uri.set_query(part)?,
                // The short form: the name itself.
                (false, None) if index == 0 => uri.key = Some(key_name(part, part.own_text()?)?),
                (false, _) => uri.set_path(part)?,
            }
        }
        Ok(uri)
    }

    /// The first attribute that names a file.
    pub fn path_attribute(&self) -> Option<&'static str> {
        self.socket.is_some().then_some("socket")
    }

    fn set_path(&mut self, part: &Part<'_>) -> Result<()> {
        match part.name {
            "name" if self.key.is_some() => return Err(part.malformed("is a second key name")),
            "name" => self.key = Some(key_name(part, part.text()?)?),
            "provider" => self.provider = Some(provider(part)?),
            "app" => self.app = Some(key_name(part, part.text()?)?),
            "socket" | "auth" | "timeout" => {
                return Err(part.unknown("it belongs behind a \"?\""));
            }
            _ => return Err(part.unknown(KNOWN)),
        }
        Ok(())
    }

    fn set_query(&mut self, part: &Part<'_>) -> Result<()> {
        match part.name {
            "socket" => {
                let problem = "is no absolute path of a socket";
                let path = socket_path(&part.text()?).ok_or_else(|| part.malformed(problem))?;
                self.socket = Some(path);
            }
            "auth" => {
                let auth = ParsecAuth::parse(&part.text()?);
                let problem = "is none of unix, direct and jwt-svid";
                self.auth = Some(auth.ok_or_else(|| part.malformed(problem))?);
            }
            "timeout" => {
                let timeout = milliseconds(&part.text()?);
                let problem = "is no number of milliseconds, 1 to 3600000";
                self.timeout = Some(timeout.ok_or_else(|| part.malformed(problem))?);
            }
            _ => return Err(part.unknown(KNOWN)),
        }
        Ok(())
    }
}

/// Writes everything but the socket, which a file may not name.
impl fmt::Display for ParsecUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |text: &str| percent_encode(text.as_bytes(), ESCAPED).to_string();
        let path: Vec<String> = [
            self.key
                .as_deref()
                .map(|name| format!("name={}", escaped(name))),
            self.provider.map(|provider| format!("provider={provider}")),
            self.app
                .as_deref()
                .map(|app| format!("app={}", escaped(app))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let query: Vec<String> = [
            self.auth.map(|auth| format!("auth={auth}")),
            self.timeout
                .map(|timeout| format!("timeout={}", timeout.as_millis())),
        ]
        .into_iter()
        .flatten()
        .collect();
        write!(f, "{SCHEME}:{}", path.join(";"))?;
        match query.is_empty() {
            true => Ok(()),
            false => write!(f, "?{}", query.join("&")),
        }
    }
}

impl ParsecAuth {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "unix" => Some(Self::Unix),
            "direct" => Some(Self::Direct),
            "jwt-svid" => Some(Self::JwtSvid),
            _ => None,
        }
    }
}

impl fmt::Display for ParsecAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unix => "unix",
            Self::Direct => "direct",
            Self::JwtSvid => "jwt-svid",
        })
    }
}

impl fmt::Display for ParsecProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MbedCrypto => "mbed-crypto",
            Self::Pkcs11 => "pkcs11",
            Self::Tpm => "tpm",
            Self::TrustedService => "trusted-service",
            Self::CryptoAuthLib => "cryptoauthlib",
            Self::Uuid(number) => {
                let digits = format!("{number:032x}");
                let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &digits[range]);
                return f.write_str(&groups.join("-"));
            }
        })
    }
}

/// `/path`, `unix:/path` or `unix:///path`, as PARSEC_SERVICE_ENDPOINT has it.
pub fn socket_path(text: &str) -> Option<PathBuf> {
    let path = text.strip_prefix("unix:").unwrap_or(text);
    let path = path.strip_prefix("//").unwrap_or(path);
    (path.starts_with('/') && !path.contains('\0')).then(|| path.into())
}

/// A waiting time, of an hour at most.
pub fn milliseconds(text: &str) -> Option<Duration> {
    let number = text.parse().ok();
    number
        .filter(|number| (1..=3_600_000).contains(number))
        .map(Duration::from_millis)
}

/// The service takes any name but an empty one.
fn key_name(part: &Part<'_>, name: String) -> Result<String> {
    match name.is_empty() {
        true => Err(part.malformed("is an empty name")),
        false => Ok(name),
    }
}

fn provider(part: &Part<'_>) -> Result<ParsecProvider> {
    let text = part.text()?;
    Ok(match text.as_str() {
        "mbed-crypto" => ParsecProvider::MbedCrypto,
        "pkcs11" => ParsecProvider::Pkcs11,
        "tpm" => ParsecProvider::Tpm,
        "trusted-service" => ParsecProvider::TrustedService,
        "cryptoauthlib" => ParsecProvider::CryptoAuthLib,
        _ => {
            let problem =
                "is none of tpm, pkcs11, mbed-crypto, trusted-service, cryptoauthlib, and no UUID";
            ParsecProvider::Uuid(uuid(&text).ok_or_else(|| part.malformed(problem))?)
        }
    })
}

/// RFC 9562 §4.
fn uuid(text: &str) -> Option<u128> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let digits = groups.concat();
    let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    (lengths == [8, 4, 4, 4, 12] && is_hexadecimal)
        .then(|| u128::from_str_radix(&digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(text: &str) -> String {
        match ParsecUri::parse(text) {
            Ok(_) => panic!("{text} was accepted"),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn a_key_is_named_in_short_or_with_all_that_goes_with_it() {
        let short = ParsecUri::parse("device%2F1").unwrap();
        assert_eq!(short.key.as_deref(), Some("device/1"));
        assert_eq!(short.to_string(), "parsec:name=device%2F1");
        let uri = ParsecUri::parse(
            "name=a%3D;provider=tpm;app=gateway?socket=unix:/run/p.sock&auth=direct&timeout=500",
        )
        .unwrap();
        assert_eq!(uri.key.as_deref(), Some("a="));
        assert_eq!(uri.provider, Some(ParsecProvider::Tpm));
        assert_eq!(uri.app.as_deref(), Some("gateway"));
        assert_eq!(uri.socket.as_deref(), Some("/run/p.sock".as_ref()));
        assert_eq!(uri.auth, Some(ParsecAuth::Direct));
        assert_eq!(uri.timeout, Some(Duration::from_millis(500)));
        assert_eq!(uri.path_attribute(), Some("socket"));
        let written = "parsec:name=a%3D;provider=tpm;app=gateway?auth=direct&timeout=500";
        assert_eq!(uri.to_string(), written);
        let mixed = ParsecUri::parse("device;provider=pkcs11").unwrap();
        assert_eq!(mixed.to_string(), "parsec:name=device;provider=pkcs11");
        assert_eq!(ParsecUri::parse("").unwrap(), ParsecUri::default());
    }

    #[test]
    fn a_provider_may_be_a_uuid() {
        let text = "1c1139dc-ad7c-47dc-ad6b-db6fdb466552";
        let uri = ParsecUri::parse(&format!("provider={text}")).unwrap();
        assert_eq!(uri.to_string(), format!("parsec:provider={text}"));
        for wrong in [
            "1c1139dc-ad7c-47dc-ad6b-db6fdb46655",
            "tpm2",
            "+1139dc-ad7c-47dc-ad6b-db6fdb466552",
        ] {
            assert!(
                message(&format!("provider={wrong}")).contains("no UUID"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        assert!(message("nmae=x").contains("unknown attribute \"nmae\" at character 8"));
        assert!(message("a;name=b").contains("is a second key name"));
        assert!(message("a;b").contains("unknown attribute \"b\""));
        assert!(message("name=").contains("is an empty name"));
        assert!(message("a;timeout=5").contains("belongs behind a \"?\""));
        assert!(message("a?timeout=0").contains("milliseconds"));
        assert!(message("a?socket=run/p").contains("no absolute path"));
        assert!(message("a?auth=none").contains("none of unix, direct and jwt-svid"));
        assert!(message("a%2").contains("% without two hexadecimal digits"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC*") {
            let _ = ParsecUri::parse(&text);
        }

        #[test]
        fn written_uris_read_back(name in "\\PC{1,40}", app in "\\PC{1,20}", uuid: u128) {
            let uri = ParsecUri {
                key: Some(name),
                provider: Some(ParsecProvider::Uuid(uuid)),
                app: Some(app),
                auth: Some(ParsecAuth::Unix),
                ..ParsecUri::default()
            };
            let text = uri.to_string();
            let again = ParsecUri::parse(text.strip_prefix("parsec:").unwrap()).unwrap();
            prop_assert_eq!(again, uri);
        }
    }
}
