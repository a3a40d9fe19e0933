//! The application, and the firmware below it, in memory.

use std::sync::mpsc::{self, Sender};
use std::thread;

use piv_authenticator::{Authenticator, Options};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use trussed::ClientImplementation;
use trussed::backend::BackendId;
use trussed::pipe::{ServiceEndpoint, TrussedChannel};
use trussed::platform::{Platform, Syscall};
use trussed::service::Service;
use trussed::types::CoreContext;
use trussed::virt::{Store, StoreConfig, UserInterface};
use trussed_auth::AuthExtension;
use trussed_auth_backend::{AuthBackend, FilesystemLayout};
use trussed_chunked::ChunkedExtension;
use trussed_core::types::Location;
use trussed_derive::{ExtensionDispatch, ExtensionId};
use trussed_hpke::HpkeExtension;
use trussed_rsa_alloc::SoftwareRsa;
use trussed_staging::StagingBackend;
use trussed_wrap_key_to_file::WrapKeyToFileExtension;

pub type Applet<'a> = Authenticator<ClientImplementation<'a, Wake, Parts>>;

const NAME: &str = "piv";

const PARTS: &[BackendId<Part>] = &[
    BackendId::Custom(Part::Rsa),
    BackendId::Custom(Part::Staging),
    BackendId::Custom(Part::Auth),
    BackendId::Core,
];

#[derive(Clone, Copy)]
pub enum Part {
    Rsa,
    Staging,
    Auth,
}

#[derive(Clone, Copy, ExtensionId)]
pub enum Extension {
    Auth = 0,
    Chunked = 1,
    Hpke = 2,
    WrapKeyToFile = 3,
}

#[derive(ExtensionDispatch)]
#[dispatch(backend_id = "Part", extension_id = "Extension")]
#[extensions(
    Auth = "AuthExtension",
    Chunked = "ChunkedExtension",
    Hpke = "HpkeExtension",
    WrapKeyToFile = "WrapKeyToFileExtension"
)]
pub struct Parts {
    rsa: SoftwareRsa,
    #[extensions("Chunked", "Hpke", "WrapKeyToFile")]
    staging: StagingBackend,
    #[extensions("Auth")]
    auth: AuthBackend,
}

/// Tells the service of a request. (The framework's own for tests looks once a millisecond.)
pub struct Wake(Sender<()>);

impl Syscall for Wake {
    fn syscall(&mut self) {
        self.0.send(()).expect("the service");
    }
}

/// The framework's own for tests makes the same keys on every card.
struct Machine<'a> {
    random: ChaCha8Rng,
    store: Store<'a>,
    interface: UserInterface,
}

impl<'a> Platform for Machine<'a> {
    type R = ChaCha8Rng;
    type S = Store<'a>;
    type UI = UserInterface;

    fn user_interface(&mut self) -> &mut UserInterface {
        &mut self.interface
    }

    fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.random
    }

    fn store(&self) -> Store<'a> {
        self.store
    }
}

/// `f` with an application that nobody has used yet.
pub fn with<R>(f: impl FnOnce(Applet<'_>) -> R) -> R {
    StoreConfig::ram().with_store(|store| {
        let machine = Machine {
            random: ChaCha8Rng::from_entropy(),
            store,
            interface: UserInterface::new(),
        };
        let parts = Parts {
            rsa: SoftwareRsa,
            staging: StagingBackend::new(),
            auth: AuthBackend::new(Location::Internal, FilesystemLayout::V0),
        };
        let channel = TrussedChannel::new();
        let (requests, responses) = channel.split().expect("a new channel");
        let context = CoreContext::new(NAME.try_into().expect("a name"));
        let mut endpoints = [ServiceEndpoint::new(responses, context, PARTS)];
        let mut service = Service::with_dispatch(machine, parts);
        let (wake, woken) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || woken.iter().for_each(|()| service.process(&mut endpoints)));
            let client = ClientImplementation::new(requests, Wake(wake), None);
            f(Authenticator::new(client, Options::default()))
        })
    })
}
