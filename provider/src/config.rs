//! The provider's section of openssl.cnf.
//!
//! OpenSSL hides a provider whose initialisation fails, and software keys would go down with it.
//! So a fault found here is kept, and raised when a hardware key is asked for.

use std::ffi::CStr;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;
use ossl_shim::Core;

use crate::error::{Error, Reason, Result};
use crate::logging::{self, Target};
use crate::pin::{PinPolicy, PinPrompt, PinSource};
use crate::uri::parsec::{ParsecAuth, milliseconds, socket_path};

/// What openssl.cnf says.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `pkcs11-module-path`.
    pub module_paths: Vec<PathBuf>,
    /// `module-dirs`.
    pub module_dirs: Vec<PathBuf>,
    /// `pin-source`.
    pub pin_source: Option<PinSource>,
    /// `pin-keep`.
    pub pin_keep: bool,
    /// `pin-prompt`.
    pub pin_prompt: Option<PinPrompt>,
    /// `pin-final-try = allow`.
    pub spend_final_try: bool,
    /// `pin-file-mode = any`.
    pub any_pin_file_mode: bool,
    /// `digest = token`.
    pub hashes_in_token: bool,
    /// `allow-uri-paths`.
    pub allow_uri_paths: bool,
    /// `tpm2-tcti`.
    pub tpm2_tcti: Option<String>,
    /// `tpm2-parent-pin-source`.
    pub tpm2_parent_pin_source: Option<PinSource>,
    /// `parsec-endpoint`.
    pub parsec_endpoint: Option<PathBuf>,
    /// `parsec-auth`.
    pub parsec_auth: Option<ParsecAuth>,
    /// `parsec-app`.
    pub parsec_app: Option<String>,
    /// `parsec-jwt-svid`.
    pub parsec_jwt_svid: Option<PathBuf>,
    /// `parsec-timeout`.
    pub parsec_timeout: Option<Duration>,
    /// `log-level`.
    pub log_level: Option<LevelFilter>,
    /// `log-target`.
    pub log_target: Target,
    /// The first wrong value, kept until a hardware key is asked for.
    fault: Option<String>,
    /// Things to tell once, when a hardware key is asked for.
    pub advice: Vec<String>,
}

/// The options that are asked for; OpenSSL can't list the section.
const OPTIONS: &[&CStr] = &[
    c"pkcs11-module-path",
    c"module-dirs",
    c"pin-source",
    c"pin-keep",
    c"pin-prompt",
    c"pin-final-try",
    c"pin-file-mode",
    c"digest",
    c"allow-uri-paths",
    c"tpm2-tcti",
    c"tpm2-parent-pin-source",
    c"parsec-endpoint",
    c"parsec-auth",
    c"parsec-app",
    c"parsec-jwt-svid",
    c"parsec-timeout",
    c"log-level",
    c"log-target",
];

/// Options of others, with what to write here: pkcs11-provider's, and tpm2-openssl's.
const FOREIGN: &[(&CStr, &str)] = &[
    (c"tcti", "tpm2-tcti = the same value"),
    (c"pkcs11-module-token-pin", "pin-source = file:/path/to/pin"),
    (
        c"pkcs11-module-init-args",
        "nothing: modules read their own configuration",
    ),
    (
        c"pkcs11-module-allow-export",
        "nothing: public keys are always exported, private ones never",
    ),
    (
        c"pkcs11-module-login-behavior",
        "nothing: hwkey logs in when the token asks for it",
    ),
    (
        c"pkcs11-module-load-behavior",
        "nothing: modules are loaded at the first key",
    ),
    (c"pkcs11-module-cache-pins", "pin-keep = yes (the default)"),
    (c"pkcs11-module-cache-keys", "nothing"),
    (c"pkcs11-module-cache-sessions", "nothing"),
    (
        c"pkcs11-module-encode-provider-uri-to-pem",
        "nothing: private keys are always written as references",
    ),
    (
        c"pkcs11-module-block-operations",
        "nothing: hwkey offers only what needs the private key",
    ),
    (c"pkcs11-module-assume-fips", "nothing"),
    (c"pkcs11-module-quirks", "nothing: hwkey needs no quirks"),
];

impl Config {
    pub fn read(core: &Core) -> Self {
        let values = core.config(OPTIONS);
        let options = OPTIONS
            .iter()
            .zip(values)
            .filter_map(|(name, value)| Some((name.to_str().ok()?, value?)));
        let mut config = Self::from_options(options);
        let foreign: Vec<&CStr> = FOREIGN.iter().map(|(name, _)| *name).collect();
        for ((name, instead), value) in FOREIGN.iter().zip(core.config(&foreign)) {
            if value.is_some() {
                let name = name.to_string_lossy();
                let owner = match name.starts_with("pkcs11-") {
                    true => "pkcs11-provider",
                    false => "tpm2-openssl",
                };
                config.advice.push(format!(
                    "openssl.cnf: {name} is {owner}'s option and has no effect here; hwkey takes: {instead}"
                ));
            }
        }
        config
    }

    fn from_options(options: impl Iterator<Item = (&'static str, String)>) -> Self {
        let mut config = Self {
            pin_keep: true,
            ..Self::default()
        };
        let mut sources = Vec::new();
        for (name, value) in options {
            let value = value.trim();
            if name.ends_with("pin-source") {
                // They depend on pin-file-mode, which may follow.
                sources.push((name, value.to_owned()));
            } else if let Err(accepted) = config.set(name, value) {
                config.keep_fault(name, value, accepted);
            }
        }
        for (name, text) in sources {
            let source = PinSource::parse(&text, config.any_pin_file_mode);
            if source.is_err() {
                // The value may be a PIN, written there by mistake.
                let accepted = "file:/absolute/path, env:NAME, credential:NAME";
                config.keep_fault(name, "(not shown)", accepted);
            }
            match name {
                "tpm2-parent-pin-source" => config.tpm2_parent_pin_source = source.ok(),
                _ => config.pin_source = source.ok(),
            }
        }
        config
    }

    /// Sets one option; the error is what would be accepted.
    fn set(&mut self, name: &str, value: &str) -> std::result::Result<(), &'static str> {
        const YES_NO: &str = "yes, no";
        match name {
            "pkcs11-module-path" => self.module_paths = paths(value)?,
            "module-dirs" => self.module_dirs = paths(value)?,
            "pin-keep" => self.pin_keep = choice(value, &["no", "yes"], YES_NO)?,
            "pin-final-try" => {
                self.spend_final_try = choice(value, &["refuse", "allow"], "refuse, allow")?;
            }
            "pin-file-mode" => {
                self.any_pin_file_mode = choice(value, &["private", "any"], "private, any")?;
            }
            "allow-uri-paths" => self.allow_uri_paths = choice(value, &["no", "yes"], YES_NO)?,
            "tpm2-tcti" => {
                // tss2 would take a path for that of a library.
                let is_one = !value.is_empty() && !value.starts_with("/dev/");
                let tcti = is_one.then(|| value.to_owned());
                let accepted = "a TCTI of tss2: device:/dev/tpmrm0, tabrmd, swtpm:host=…,port=…";
                self.tpm2_tcti = Some(tcti.ok_or(accepted)?);
            }
            _ if name.starts_with("parsec-") => self.set_parsec(name, value)?,
            "digest" => {
                self.hashes_in_token = choice(value, &["host", "token"], "host, token")?;
            }
            "pin-prompt" => {
                let prompt = PinPrompt::parse(value);
                self.pin_prompt = Some(prompt.ok_or("tty, or the absolute path of a program")?);
            }
            "log-level" => {
                let level = logging::parse_level(value);
                self.log_level = Some(level.ok_or("error, warn, info, debug, trace")?);
            }
            "log-target" => {
                self.log_target =
                    Target::parse(value).ok_or("stderr, syslog, file:/absolute/path")?;
            }
            _ => {}
        }
        Ok(())
    }

    /// [`Self::set`] for the service's options.
    fn set_parsec(&mut self, name: &str, value: &str) -> std::result::Result<(), &'static str> {
        match name {
            "parsec-endpoint" => {
                let accepted = "unix:/absolute/path of the service's socket";
                self.parsec_endpoint = Some(socket_path(value).ok_or(accepted)?);
            }
            "parsec-auth" => {
                self.parsec_auth = Some(ParsecAuth::parse(value).ok_or("unix, direct, jwt-svid")?);
            }
            "parsec-app" => {
                let app = (!value.is_empty()).then(|| value.to_owned());
                self.parsec_app = Some(app.ok_or("an application's name")?);
            }
            "parsec-jwt-svid" => {
                let path = PathBuf::from(value);
                let path = path.is_absolute().then_some(path);
                self.parsec_jwt_svid = Some(path.ok_or("/absolute/path of a file with a token")?);
            }
            "parsec-timeout" => {
                self.parsec_timeout =
                    Some(milliseconds(value).ok_or("milliseconds, 1 to 3600000")?);
            }
            _ => {}
        }
        Ok(())
    }

    fn keep_fault(&mut self, name: &str, value: &str, accepted: &str) {
        self.fault.get_or_insert_with(|| {
            format!("{name} = {value}; accepted: {accepted} (in hwkey's section of openssl.cnf)")
        });
    }

    /// The first wrong value, as an error.
    pub fn check(&self) -> Result<()> {
        match &self.fault {
            Some(fault) => Err(Error::new(Reason::InvalidOption, fault.clone())),
            None => Ok(()),
        }
    }

    /// The PIN policy for the keys of a URI, whose own source or value wins.
    pub fn pin_policy(&self, source: Option<&str>, has_value: bool) -> Result<PinPolicy> {
        let source = match (source, has_value) {
            (Some(text), _) => Some(PinSource::parse(text, self.any_pin_file_mode)?),
            // Later logins use the kept copy: the configured source may be another token's.
            (None, true) => None,
            (None, false) => self.pin_source.clone(),
        };
        Ok(PinPolicy {
            source,
            keep: self.pin_keep,
            prompt: self.pin_prompt.clone(),
            spend_final_try: self.spend_final_try,
        })
    }
}

/// A relative path would mean another file in each program.
fn paths(value: &str) -> std::result::Result<Vec<PathBuf>, &'static str> {
    let parts = value.split(',').map(str::trim);
    let paths: Vec<PathBuf> = parts
        .filter(|part| !part.is_empty())
        .map(PathBuf::from)
        .collect();
    match paths.iter().all(|path| path.is_absolute()) {
        true => Ok(paths),
        false => Err("absolute paths, separated by commas"),
    }
}

/// Whether `value` is the second of `words`; an error if it is none of them.
fn choice(
    value: &str,
    words: &[&str],
    accepted: &'static str,
) -> std::result::Result<bool, &'static str> {
    let found = words.iter().position(|word| *word == value);
    found.map(|index| index == 1).ok_or(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(options: &[(&'static str, &str)]) -> Config {
        let options = options.iter();
        Config::from_options(options.map(|(name, value)| (*name, (*value).to_owned())))
    }

    fn fault(name: &'static str, value: &str) -> String {
        let error = config(&[(name, value)]).check().unwrap_err();
        assert_eq!(error.reason(), Reason::InvalidOption);
        error.message().to_owned()
    }

    #[test]
    fn a_bad_value_names_the_option_the_value_and_what_is_accepted() {
        assert!(fault("pin-keep", "maybe").contains("pin-keep = maybe; accepted: yes, no"));
        assert!(fault("log-level", "loud").contains("error, warn, info, debug, trace"));
        assert!(fault("log-target", "printer").contains("stderr, syslog, file:/absolute/path"));
        assert!(fault("log-target", "file:hwkey.log").contains("file:/absolute/path"));
        assert!(fault("digest", "card").contains("digest = card; accepted: host, token"));
        assert!(fault("pin-prompt", "gui").contains("pin-prompt = gui; accepted: tty, "));
        assert!(fault("pkcs11-module-path", "m.so").contains("absolute paths"));
        assert!(fault("tpm2-tcti", "/dev/tpmrm0").contains("device:/dev/tpmrm0, tabrmd"));
    }

    #[test]
    fn options_of_parsec_are_checked() {
        assert!(fault("parsec-endpoint", "parsec.sock").contains("unix:/absolute/path"));
        assert!(fault("parsec-auth", "root").contains("unix, direct, jwt-svid"));
        assert!(fault("parsec-app", "").contains("an application's name"));
        assert!(fault("parsec-jwt-svid", "token").contains("/absolute/path"));
        assert!(fault("parsec-timeout", "1 s").contains("milliseconds"));
        let config = config(&[
            ("parsec-endpoint", "unix:/run/parsec/parsec.sock"),
            ("parsec-timeout", "500"),
        ]);
        assert!(config.check().is_ok());
        assert_eq!(
            config.parsec_endpoint,
            Some("/run/parsec/parsec.sock".into())
        );
        assert_eq!(config.parsec_timeout, Some(Duration::from_millis(500)));
    }

    #[test]
    fn a_pin_written_where_its_source_belongs_is_not_repeated() {
        for name in ["pin-source", "tpm2-parent-pin-source"] {
            assert!(!fault(name, "123456").contains("123456"));
        }
    }

    #[test]
    fn lists_and_defaults() {
        let config = config(&[("pkcs11-module-path", "/a.so, /b.so,")]);
        assert_eq!(
            config.module_paths,
            [PathBuf::from("/a.so"), "/b.so".into()]
        );
        assert!(config.pin_keep && !config.allow_uri_paths && !config.spend_final_try);
        assert!(config.check().is_ok());
    }
}
