//! One Parsec service: questions and answers.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use parsec_client::core::interface::operations::list_keys::KeyInfo;
use parsec_client::core::interface::operations::list_providers::ProviderInfo;
use parsec_client::core::interface::operations::{
    Convert, NativeOperation, NativeResult, list_authenticators, list_keys, list_providers,
};
use parsec_client::core::interface::operations_protobuf::ProtobufConverter;
use parsec_client::core::interface::requests::request::{RequestAuth, RequestHeader};
use parsec_client::core::interface::requests::{
    AuthType, ProviderId, Request, Response, ResponseStatus,
};
use parsec_client::core::request_client::RequestClient;
use parsec_client::error::{ClientErrorKind, Error as ClientError};

use super::channel::Connector;
use super::failure;
use super::identity::Identity;
use crate::config::Config;
use crate::environment::trusted_variable;
use crate::error::{Error, Reason, Result};
use crate::uri::ParsecUri;
use crate::uri::parsec::socket_path;

/// Where it listens if nothing says otherwise.
const SOCKET: &str = "/run/parsec/parsec.sock";

/// What Parsec's other clients ask for the same.
const ENDPOINT_VARIABLE: &str = "PARSEC_SERVICE_ENDPOINT";

/// As long as Parsec's own clients wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// No answer is longer than this many bytes; it is the service's own limit, too.
const MAX_ANSWER: usize = 1 << 20;

/// A service, and who asks it. Each question has a connection of its own: nothing is to be mended after
/// a fork, or when the service comes back.
#[derive(Clone, Debug)]
pub struct Service {
    socket: PathBuf,
    timeout: Duration,
    identity: Identity,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The service said no.
    Status(ResponseStatus),
    /// There is no connection to it.
    Unreachable(io::Error),
    /// It took too long.
    TimedOut(Duration),
    /// The connection ended before the answer.
    Closed,
    /// The answer is none.
    Nonsense,
    /// It was not asked.
    Own(Error),
}

/// The result of a question.
pub type Answer<T> = std::result::Result<T, Trouble>;

impl Service {
    /// The service of `uri`, asked by whom the URI, openssl.cnf or the service itself says.
    pub fn of(config: &Config, uri: &ParsecUri) -> Result<Self> {
        let mut service = Self {
            socket: endpoint(config, uri)?,
            timeout: uri.timeout.or(config.parsec_timeout).unwrap_or(TIMEOUT),
            identity: Identity::Unix,
        };
        service.identity = match Identity::named(config, uri)? {
            Some(identity) => identity,
            None => Identity::offered(&service.authenticators()?, config, uri)?,
        };
        Ok(service)
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// The ways it takes to know who asks; nobody has to say that for this question.
    pub fn authenticators(&self) -> Result<Vec<AuthType>> {
        let question = || list_authenticators::Operation {}.into();
        let nobody = || Ok((AuthType::NoAuth, RequestAuth::new(Vec::new())));
        let answer = self.ask_as(nobody, ProviderId::Core, question);
        let answer = answer.and_then(|answer| match answer {
            NativeResult::ListAuthenticators(listed) => Ok(listed.authenticators),
            _ => Err(Trouble::Nonsense),
        });
        let listed = answer
            .map_err(self.failed(|| format!("asking {} how it knows its clients", self.at())))?;
        Ok(listed.into_iter().map(|one| one.id).collect())
    }

    /// The providers it has, the first one first.
    pub fn providers(&self) -> Result<Vec<ProviderInfo>> {
        let answer = self.ask(ProviderId::Core, || list_providers::Operation {}.into());
        let answer = answer.and_then(|answer| match answer {
            NativeResult::ListProviders(listed) => Ok(listed.providers),
            _ => Err(Trouble::Nonsense),
        });
        answer.map_err(self.failed(|| format!("asking {self} for its providers")))
    }

    /// All keys of who asks.
    pub fn keys(&self) -> Answer<Vec<KeyInfo>> {
        match self.ask(ProviderId::Core, || list_keys::Operation {}.into())? {
            NativeResult::ListKeys(listed) => Ok(listed.keys),
            _ => Err(Trouble::Nonsense),
        }
    }

    /// Asks `provider`; once more if the connection ended before the answer, as it does when the service is
    /// started anew. So the question must be one that can be asked twice.
    pub fn ask(
        &self,
        provider: ProviderId,
        question: impl Fn() -> NativeOperation,
    ) -> Answer<NativeResult> {
        let who = || Ok((self.identity.auth_type(), self.identity.evidence()?));
        self.ask_as(who, provider, question)
    }

    /// The same for a question that can't be asked twice.
    pub fn ask_once(
        &self,
        provider: ProviderId,
        question: NativeOperation,
    ) -> Answer<NativeResult> {
        let who = (
            self.identity.auth_type(),
            self.identity.evidence().map_err(Trouble::Own)?,
        );
        self.exchange(Instant::now() + self.timeout, who, provider, question)
    }

    fn ask_as(
        &self,
        who: impl Fn() -> Result<(AuthType, RequestAuth)>,
        provider: ProviderId,
        question: impl Fn() -> NativeOperation,
    ) -> Answer<NativeResult> {
        let deadline = Instant::now() + self.timeout;
        let once = || {
            let who = who().map_err(Trouble::Own)?;
            self.exchange(deadline, who, provider, question())
        };
        match once() {
            // The service's own wait for the question ended first, listener.timeout.
            Err(Trouble::Closed | Trouble::Status(ResponseStatus::ConnectionError)) => once(),
            answer => answer,
        }
    }

    fn exchange(
        &self,
        deadline: Instant,
        (auth_type, auth): (AuthType, RequestAuth),
        provider: ProviderId,
        operation: NativeOperation,
    ) -> Answer<NativeResult> {
        let (opcode, converter) = (operation.opcode(), ProtobufConverter {});
        let request = Request {
            header: RequestHeader {
                provider,
                session: 0,
                content_type: converter.body_type(),
                accept_type: converter.body_type(),
                auth_type,
                opcode,
            },
            body: converter
                .operation_to_body(operation)
                .map_err(|_| Trouble::Nonsense)?,
            auth,
        };
        let started = Instant::now();
        let answer = self.send(deadline, request);
        log::debug!(
            "{}: {opcode:?} by the {}: {} in {} µs",
            self.at(),
            super::providers::title(provider),
            match &answer {
                Ok(response) => format!("{:?}", response.header.status),
                Err(trouble) => format!("{trouble:?}"),
            },
            started.elapsed().as_micros()
        );
        let response = answer?;
        if response.header.status != ResponseStatus::Success {
            return Err(Trouble::Status(response.header.status));
        }
        if response.header.opcode != opcode {
            return Err(Trouble::Nonsense);
        }
        let answer = converter.body_to_result(response.body, opcode);
        answer.map_err(|_| Trouble::Nonsense)
    }

    fn send(&self, deadline: Instant, request: Request) -> Answer<Response> {
        let connector = Connector::new(&self.socket, deadline);
        let fault = connector.fault();
        let client = RequestClient {
            max_body_size: MAX_ANSWER,
            ipc_handler: Box::new(connector),
        };
        client.process_request(request).map_err(|error| {
            let fault = fault.lock().unwrap_or_else(PoisonError::into_inner).take();
            match (error, fault) {
                (ClientError::Client(ClientErrorKind::Ipc(error)), _)
                    if error.kind() != io::ErrorKind::WouldBlock =>
                {
                    Trouble::Unreachable(error)
                }
                (ClientError::Client(ClientErrorKind::Ipc(_)), _) => {
                    Trouble::TimedOut(self.timeout)
                }
                (_, Some(fault)) if fault.kind() == io::ErrorKind::WouldBlock => {
                    Trouble::TimedOut(self.timeout)
                }
                // What the library says of an end where more should come.
                (_, Some(_))
                | (
                    ClientError::Client(ClientErrorKind::Interface(
                        ResponseStatus::ConnectionError,
                    )),
                    None,
                ) => Trouble::Closed,
                (_, None) => Trouble::Nonsense,
            }
        })
    }

    /// For `map_err`: an error that says what was attempted.
    pub fn failed(&self, attempted: impl FnOnce() -> String) -> impl FnOnce(Trouble) -> Error {
        move |trouble| failure::error(&attempted(), self, trouble)
    }

    /// Without who asks.
    fn at(&self) -> String {
        format!("Parsec at {}", self.socket.display())
    }
}

/// As tokens are named: `Parsec at /run/parsec/parsec.sock (user id 1000)`.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.at(), self.identity)
    }
}

/// The socket that the URI, openssl.cnf, the environment or the Parsec book names.
fn endpoint(config: &Config, uri: &ParsecUri) -> Result<PathBuf> {
    if let Some(socket) = uri.socket.as_ref().or(config.parsec_endpoint.as_ref()) {
        return Ok(socket.clone());
    }
    let Some(value) = trusted_variable(ENDPOINT_VARIABLE) else {
        return Ok(SOCKET.into());
    };
    value.to_str().and_then(socket_path).ok_or_else(|| {
        Error::new(
            Reason::ParsecUnavailable,
            format!(
                "the environment variable {ENDPOINT_VARIABLE} is {value:?}; it must be unix: and an absolute \
                 path, such as unix:{SOCKET}"
            ),
        )
    })
}
