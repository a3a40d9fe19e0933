//! Who we say we are. Keys of a service belong to an application; its authenticator tells whose they are.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ossl_shim::process::O_NONBLOCK;
use parsec_client::core::interface::requests::AuthType;
use parsec_client::core::interface::requests::request::RequestAuth;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::{Error, Reason, Result, system_text};
use crate::uri::ParsecUri;
use crate::uri::parsec::ParsecAuth;

/// The application that parsec-tool is, whose keys are meant where none is named.
const PARSEC_TOOL: &str = "parsec-tool";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The effective user of this process, whoever that is at a request.
    Unix,
    /// An application's name, which the service believes.
    Direct(String),
    /// Who a token says, which others renew in this file.
    JwtSvid(PathBuf),
}

impl Identity {
    /// The one that the URI or openssl.cnf asks for; `None` if the service is to be asked.
    pub fn named(config: &Config, uri: &ParsecUri) -> Result<Option<Self>> {
        let named = uri.auth.or(config.parsec_auth);
        let direct = uri.app.is_some().then_some(ParsecAuth::Direct);
        match named.or(direct) {
            Some(auth) if uri.app.is_some() && auth != ParsecAuth::Direct => Err(Error::new(
                Reason::InvalidUri,
                format!(
                    "{uri} has an app=, which is for auth=direct, and auth={auth} is asked for; leave one out"
                ),
            )),
            Some(auth) => Self::by(auth, config, uri).map(Some),
            None => Ok(None),
        }
    }

    /// The first of the service's that can be had here.
    pub fn offered(offered: &[AuthType], config: &Config, uri: &ParsecUri) -> Result<Self> {
        let usable = offered.iter().find_map(|auth| match auth {
            AuthType::UnixPeerCredentials => Some(ParsecAuth::Unix),
            AuthType::Direct => Some(ParsecAuth::Direct),
            AuthType::JwtSvid => Some(ParsecAuth::JwtSvid),
            _ => None,
        });
        let usable = usable.ok_or_else(|| {
            Error::new(
                Reason::ParsecRefused,
                format!(
                    "the Parsec service knows its clients by {offered:?} only; hwkey can do UnixPeerCredentials, \
                     Direct and JwtSvid ([authenticator] in its config.toml)"
                ),
            )
        })?;
        Self::by(usable, config, uri)
    }

    fn by(auth: ParsecAuth, config: &Config, uri: &ParsecUri) -> Result<Self> {
        Ok(match auth {
            ParsecAuth::Unix => Self::Unix,
            ParsecAuth::Direct => {
                let app = uri.app.clone().or_else(|| config.parsec_app.clone());
                Self::Direct(app.unwrap_or_else(|| PARSEC_TOOL.into()))
            }
            ParsecAuth::JwtSvid => {
                let path = config.parsec_jwt_svid.clone().ok_or_else(|| {
                    Error::new(
                        Reason::ParsecRefused,
                        "the Parsec service wants a JWT-SVID; say which file has it: parsec-jwt-svid = /path in \
                         hwkey's section of openssl.cnf",
                    )
                })?;
                Self::JwtSvid(path)
            }
        })
    }

    pub fn auth_type(&self) -> AuthType {
        match self {
            Self::Unix => AuthType::UnixPeerCredentials,
            Self::Direct(_) => AuthType::Direct,
            Self::JwtSvid(_) => AuthType::JwtSvid,
        }
    }

    /// What a request has to show. (The book's "Authenticators"; numbers are little-endian.)
    pub fn evidence(&self) -> Result<RequestAuth> {
        Ok(RequestAuth::new(match self {
            Self::Unix => user().to_le_bytes().to_vec(),
            Self::Direct(app) => app.clone().into_bytes(),
            Self::JwtSvid(path) => token(path)?.to_vec(),
        }))
    }

    /// The user, where that is who asks.
    pub fn user(&self) -> Option<u32> {
        (*self == Self::Unix).then(user)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix => write!(f, "user id {}", user()),
            Self::Direct(app) => write!(f, "application \"{app}\""),
            Self::JwtSvid(path) => write!(f, "JWT-SVID {}", path.display()),
        }
    }
}

/// The socket tells the service the effective user (SO_PEERCRED, unix(7)), and it compares.
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The token in a file. Spaces and line ends are no part of one (RFC 7519 §3).
fn token(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    /// The length of what a request has to show has 16 bits.
    const MAX: u64 = 0xffff;
    let unusable = |problem: String| {
        Error::new(
            Reason::ParsecRefused,
            format!(
                "reading the JWT-SVID from {}: {problem}; correct parsec-jwt-svid in openssl.cnf, or what \
                 writes the token",
                path.display()
            ),
        )
    };
    let io = |error: std::io::Error| unusable(system_text(&error));
    let mut options = File::options();
    let file = options.read(true).custom_flags(O_NONBLOCK).open(path);
    let file = file.map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(unusable("it is not a regular file".into()));
    }
    let mut content = Zeroizing::new(Vec::with_capacity(MAX as usize + 1));
    let mut limited = file.take(MAX + 1);
    limited.read_to_end(&mut content).map_err(io)?;
    let token = content.trim_ascii();
    match token.len() as u64 {
        0 => Err(unusable("it is empty".into())),
        length if length > MAX => Err(unusable("it is longer than any token".into())),
        _ => Ok(Zeroizing::new(token.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> ParsecUri {
        ParsecUri::parse(text).unwrap()
    }

    #[test]
    fn what_is_named_comes_before_what_the_service_has() {
        let config = Config::default();
        let named = |text: &str| Identity::named(&config, &uri(text));
        assert_eq!(named("k").unwrap(), None);
        assert_eq!(named("k?auth=unix").unwrap(), Some(Identity::Unix));
        let direct = |app: &str| Some(Identity::Direct(app.into()));
        assert_eq!(named("k;app=a").unwrap(), direct("a"));
        assert_eq!(named("k?auth=direct").unwrap(), direct("parsec-tool"));
        assert!(named("k;app=a?auth=unix").is_err());
        assert!(named("k?auth=jwt-svid").is_err());
    }

    #[test]
    fn the_services_order_counts_where_nothing_is_named() {
        let config = Config::default();
        let offered = |all: &[AuthType]| Identity::offered(all, &config, &uri("k"));
        let both = [AuthType::Direct, AuthType::UnixPeerCredentials];
        let app = Identity::Direct("parsec-tool".into());
        assert_eq!(offered(&both).unwrap(), app);
        assert!(offered(&[AuthType::Jwt]).is_err());
    }

    #[test]
    fn a_token_is_read_without_its_line_end() {
        let path = std::env::temp_dir().join(format!("hwkey-token-{}", std::process::id()));
        std::fs::write(&path, "a.b.c\n").unwrap();
        assert_eq!(token(&path).unwrap().as_slice(), b"a.b.c");
        std::fs::write(&path, "\n").unwrap();
        assert!(token(&path).is_err());
        std::fs::write(&path, vec![b'a'; 70_000]).unwrap();
        assert!(token(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(token(&path).is_err());
        assert!(token(Path::new("/")).is_err());
    }
}
