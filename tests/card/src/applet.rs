//! The application, and the firmware below it, in memory.

use piv_authenticator::{Authenticator, Options};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use trussed::backend::BackendId;
use trussed::pipe::TrussedChannel;
use trussed::platform::Platform;
use trussed::virt::{Client, Runner, Store, StoreConfig, UserInterface};
use trussed_auth::AuthExtension;
use trussed_auth_backend::{AuthBackend, FilesystemLayout};
use trussed_chunked::ChunkedExtension;
use trussed_core::types::Location;
use trussed_derive::{ExtensionDispatch, ExtensionId};
use trussed_hpke::HpkeExtension;
use trussed_rsa_alloc::SoftwareRsa;
use trussed_staging::StagingBackend;
use trussed_wrap_key_to_file::WrapKeyToFileExtension;

pub type Applet<'a> = Authenticator<Client<'a, Parts>>;

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
        let mut runner = Runner::new();
        runner.add_endpoint(responses, NAME, PARTS);
        let client = Client::new(requests, runner.syscall(), None);
        runner.run(machine, parts, || {
            f(Authenticator::new(client, Options::default()))
        })
    })
}
