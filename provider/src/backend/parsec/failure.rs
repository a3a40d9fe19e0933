//! Failed questions as errors: what the status means here, and what to do.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use parsec_client::core::interface::requests::{AuthType, ResponseStatus as Status};

use super::identity::Identity;
use super::providers::there_are;
use super::service::{Service, Trouble};
use crate::backend::names::some_of;
use crate::error::{Error, Reason, system_text};

/// The error for a failed question: `attempted` says what, of which service and with which key.
#[track_caller]
pub fn error(attempted: &str, service: &Service, trouble: Trouble) -> Error {
    let (reason, text) = match trouble {
        Trouble::Own(error) => return error.within(attempted),
        Trouble::Status(status) => {
            let (reason, cure) = meaning(status, service);
            (reason, format!("{}; {cure}", name(status)))
        }
        Trouble::Unreachable(error) => (
            Reason::ParsecUnavailable,
            format!("{}; {}", system_text(&error), unreachable(&error, service)),
        ),
        Trouble::TimedOut(timeout) => (
            Reason::ParsecUnavailable,
            format!(
                "no answer in {} ms; the service, or the hardware behind it, is busy or hangs ({LOG}); \
                 parsec-timeout in openssl.cnf, or ?timeout=, allows more",
                timeout.as_millis()
            ),
        ),
        Trouble::Closed => (
            Reason::ParsecUnavailable,
            format!(
                "the service closed the connection before it answered: it ended while it worked, or its \
                 [listener] timeout is too short ({LOG})"
            ),
        ),
        Trouble::Nonsense => (
            Reason::ParsecUnavailable,
            format!(
                "what listens at {} does not answer as a Parsec service; correct parsec-endpoint",
                service.socket().display()
            ),
        ),
    };
    Error::new(reason, format!("{attempted}: {text}"))
}

/// The status as the service's log and the Parsec book have it.
pub fn name(status: Status) -> String {
    format!("{status:?} ({})", status as u16)
}

/// Where the service says more.
const LOG: &str = "journalctl -u parsec";

/// Where it does so of its hardware.
const MORE: &str = "the service's log says more (journalctl -u parsec; with log_error_details = true in \
                    [core_settings])";

fn unreachable(error: &io::Error, service: &Service) -> String {
    let socket = service.socket().display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            "the Parsec service is not running (systemctl start parsec), or its socket_path ([listener] in \
             its config.toml) is another one: then set parsec-endpoint = unix:/path in openssl.cnf"
                .into()
        }
        io::ErrorKind::ConnectionRefused if !is_socket(service.socket()) => {
            format!("{socket} is no socket; correct parsec-endpoint in openssl.cnf")
        }
        io::ErrorKind::ConnectionRefused => format!(
            "nobody listens there any more: the Parsec service has ended; systemctl restart parsec, and \
             {LOG} says why"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "user id {} may not use the socket: let it into the directory, by its group or mode (namei -l \
             {socket} shows who may)",
            rustix::process::geteuid().as_raw()
        ),
        _ => format!("correct parsec-endpoint in openssl.cnf, or start the service ({LOG})"),
    }
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

fn meaning(status: Status, service: &Service) -> (Reason, String) {
    if let Some((reason, cure)) = of_clients(status, service) {
        return (reason, cure);
    }
    let (reason, cure) = of_keys(status)
        .or_else(|| of_hardware(status))
        .or_else(|| of_storage(status))
        .or_else(|| of_protocol(status))
        .unwrap_or((Reason::TokenFailed, MORE));
    (reason, cure.to_owned())
}

/// Who asks, and which provider.
fn of_clients(status: Status, service: &Service) -> Option<(Reason, String)> {
    Some(match status {
        Status::AuthenticationError => (Reason::ParsecRefused, unconfirmed(service.identity())),
        Status::AuthenticatorNotRegistered
        | Status::AuthenticatorDoesNotExist
        | Status::NotAuthenticated => (Reason::ParsecRefused, another_authenticator(service)),
        Status::ProviderNotRegistered
        | Status::ProviderDoesNotExist
        | Status::WrongProviderId
        | Status::WrongProviderUuid => {
            let there = service.providers().map(|all| there_are(&all));
            let there = there.unwrap_or_else(|_| "see [[provider]] in its config.toml".into());
            let text = format!("the service does not have this provider; {there}");
            (Reason::NoSuchToken, text)
        }
        _ => return None,
    })
}

fn unconfirmed(identity: &Identity) -> String {
    match identity {
        Identity::Unix => {
            "the service sees another user id at the socket than the program has: one of them \
                           runs in a user namespace (a container); let both run in the same one"
                .into()
        }
        Identity::Direct(_) => {
            "the service does not take this name; correct app= or parsec-app".into()
        }
        Identity::JwtSvid(path) => format!(
            "the token in {} is not one for this service, or has expired; let its agent renew it",
            path.display()
        ),
    }
}

fn another_authenticator(service: &Service) -> String {
    let own = service.identity().auth_type();
    let Ok(offered) = service.authenticators() else {
        return format!("the service does not know its clients by {own:?}; correct parsec-auth");
    };
    let names: Vec<String> = offered.iter().map(|one| format!("{one:?}")).collect();
    let wanted = offered.iter().find_map(|one| match one {
        AuthType::UnixPeerCredentials => Some("unix"),
        AuthType::Direct => Some("direct"),
        AuthType::JwtSvid => Some("jwt-svid"),
        _ => None,
    });
    format!(
        "the service knows its clients by {}, not by {own:?}; set parsec-auth = {} in openssl.cnf (each way \
         has keys of its own), or change auth_type back in the service's config.toml",
        some_of(&names),
        wanted.unwrap_or("unix")
    )
}

fn of_keys(status: Status) -> Option<(Reason, &'static str)> {
    Some(match status {
        Status::PsaErrorDoesNotExist => (
            Reason::NoSuchKey,
            "the key was deleted, or the service has lost it; openssl storeutl -noout parsec: lists those \
             that there are",
        ),
        Status::PsaErrorAlreadyExists => (
            Reason::OperationNotAllowed,
            "a key of this name is there already; take another name, or delete it (parsec-tool delete-key)",
        ),
        Status::PsaErrorNotPermitted => (
            Reason::OperationNotAllowed,
            "the key's policy does not allow it; make a key with the use that is wanted",
        ),
        Status::PsaErrorNotSupported => (
            Reason::OperationNotAllowed,
            "this provider of the service does not have it; docs/parsec.md has a table of what each provider \
             can do",
        ),
        Status::PsaErrorInvalidArgument => (
            Reason::OperationNotAllowed,
            "the provider does not take this size, curve or digest; docs/parsec.md has a table of what each \
             provider can do",
        ),
        Status::DeprecatedPrimitive => (
            Reason::OperationNotAllowed,
            "the service makes no keys this weak; take RSA of 2048 bits or P-256, with SHA-256 (or \
             allow_deprecated = true in its [core_settings])",
        ),
        _ => return None,
    })
}

fn of_hardware(status: Status) -> Option<(Reason, &'static str)> {
    Some(match status {
        // What the TPM provider makes of codes of tss2 (parsec, providers/tpm/utils.rs).
        Status::InvalidEncoding => (
            Reason::TokenFailed,
            "the TPM provider says so when it has lost its TPM; when that is there again it takes systemctl \
             restart parsec (journalctl -u parsec has the code of tss2)",
        ),
        Status::PsaErrorCommunicationFailure | Status::PsaErrorHardwareFailure => (
            Reason::TokenFailed,
            "the provider has lost its hardware, or that refused: journalctl -u parsec says why (more with \
             log_error_details = true in [core_settings]); when it is there again, systemctl restart parsec",
        ),
        _ => return None,
    })
}

fn of_storage(status: Status) -> Option<(Reason, &'static str)> {
    Some(match status {
        Status::KeyInfoManagerError
        | Status::PsaErrorStorageFailure
        | Status::PsaErrorDataCorrupt
        | Status::PsaErrorDataInvalid => (
            Reason::TokenFailed,
            "the service can't use its database of keys ([[key_manager]]): look at the rights on its \
             directory and at the disk (journalctl -u parsec)",
        ),
        Status::PsaErrorInsufficientStorage | Status::PsaErrorInsufficientMemory => (
            Reason::TokenFailed,
            "the hardware or the disk is full: delete keys that nobody needs (parsec-tool list-keys, \
             parsec-tool delete-key)",
        ),
        Status::BodySizeExceedsLimit => (
            Reason::TokenFailed,
            "raise body_len_limit in [core_settings] of the service's config.toml",
        ),
        Status::ResponseTooLarge | Status::PsaErrorBufferTooSmall => (
            Reason::TokenFailed,
            "raise buffer_size_limit in [core_settings] of the service's config.toml",
        ),
        _ => return None,
    })
}

fn of_protocol(status: Status) -> Option<(Reason, &'static str)> {
    Some(match status {
        Status::ContentTypeNotSupported
        | Status::AcceptTypeNotSupported
        | Status::WireProtocolVersionNotSupported
        | Status::DeserializingBodyFailed
        | Status::SerializingBodyFailed
        | Status::OpcodeDoesNotExist
        | Status::InvalidHeader => (
            Reason::ParsecUnavailable,
            "the service is too old, or speaks another version of the protocol; hwkey speaks 1.0 with \
             Protobuf",
        ),
        Status::AdminOperation => (
            Reason::OperationNotAllowed,
            "only who is listed in admins ([authenticator]) may do this",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::uri::ParsecUri;

    /// One that does not run.
    fn service() -> Service {
        let uri = ParsecUri::parse("k?auth=unix&socket=/hwkey-none/parsec.sock").unwrap();
        Service::of(&Config::default(), &uri).unwrap()
    }

    #[test]
    fn every_status_is_told_by_its_name_with_what_to_do() {
        let service = service();
        let numbers = (1..=22).chain(1132..=1153);
        for number in numbers {
            let Ok(status) = Status::try_from(number) else {
                continue;
            };
            let error = error("signing", &service, Trouble::Status(status));
            let start = format!("signing: {status:?} ({number}); ");
            let cure = error.message().strip_prefix(&start).unwrap();
            assert!(cure.len() > 20, "{error}");
            // OpenSSL keeps 1,024 bytes.
            assert!(error.message().len() < 600, "{error}");
        }
    }

    #[test]
    fn a_socket_that_is_not_there_is_told_with_what_to_start() {
        let service = service();
        let error = service.keys().map_err(service.failed(|| "listing".into()));
        let error = error.unwrap_err();
        assert_eq!(error.reason(), Reason::ParsecUnavailable);
        assert!(error.message().contains("systemctl start parsec"));
    }
}
