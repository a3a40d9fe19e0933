//! A shell with a PIV card in its reader, for trying things by hand: `ci/card` builds and starts it.
//!
//! `card_shell [--module opensc|ykcs11] [--rsa] [--unused] [-- COMMAND…]`: a card with keys and certificates,
//! or as it is sold, and a shell in its directory. When the shell ends, everything ends.
//!
//! `card_shell --hand SOCKET COMMAND`: what `card` in that shell does.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::sync::mpsc;
use std::{env, fs, thread};

use hwkey_tests::{Card, FACTORY_PIN, KeyType, Module, PIN, PUK, Slot};

const USAGE: &str = "usage: ci/card [--module opensc|ykcs11] [--rsa] [--unused] [-- COMMAND…]";
const HAND_USAGE: &str = "usage: card remove|insert|demand-touch SECONDS|touch";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match &arguments[..] {
        [option, socket, command @ ..] if option == "--hand" => {
            tell(Path::new(socket), &command.join(" ")).map(|()| ExitCode::SUCCESS)
        }
        _ => Wanted::parse(arguments).and_then(|wanted| wanted.run()),
    };
    outcome.unwrap_or_else(|reason| {
        eprintln!("{reason}");
        ExitCode::FAILURE
    })
}

/// What the command line asks for.
struct Wanted {
    module: Module,
    key: KeyType,
    is_unused: bool,
    command: Vec<OsString>,
}

impl Wanted {
    fn parse(arguments: Vec<String>) -> Result<Self, String> {
        let shell = env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
        let mut wanted = Self {
            module: Module::OpenSc,
            key: KeyType::P256,
            is_unused: false,
            command: vec![shell],
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match &argument[..] {
                "--rsa" => wanted.key = KeyType::Rsa2048,
                "--unused" => wanted.is_unused = true,
                "--module" => {
                    let name = arguments.next().unwrap_or_default();
                    let mut modules = Module::ALL.into_iter();
                    let named = modules.find(|module| module.to_string().to_lowercase() == name);
                    wanted.module = named.ok_or(USAGE)?;
                }
                "--" if arguments.len() > 0 => {
                    wanted.command = arguments.by_ref().map(Into::into).collect();
                }
                _ => return Err(USAGE.into()),
            }
        }
        Ok(wanted)
    }

    /// Runs the shell to its end, and does with the card what it is told meanwhile.
    fn run(self) -> Result<ExitCode, String> {
        let card = match self.is_unused {
            true => Card::unused(self.module),
            false => Card::new(self.module, self.key, &Slot::ALL),
        };
        self.introduce(&card);
        let listener = UnixListener::bind(card.path("hand")).map_err(|error| error.to_string())?;
        let path = install_hand(&card).map_err(|error| error.to_string())?;
        let (program, arguments) = self.command.split_first().expect("a command");
        let run = card.run(program).args(arguments).env("PATH", path);
        let mut shell = run
            .into_command()
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let (events, happened) = mpsc::channel();
        let told = events.clone();
        thread::spawn(move || {
            let streams = listener.incoming().map_while(Result::ok);
            streams.for_each(|stream| drop(told.send(Event::Told(stream))));
        });
        thread::spawn(move || events.send(Event::Ended(shell.wait())));
        for event in happened {
            match event {
                // It may have gone away again.
                Event::Told(stream) => drop(answer(&card, stream)),
                Event::Ended(status) => {
                    return Ok(code(status.map_err(|error| error.to_string())?));
                }
            }
        }
        unreachable!("the shell ends");
    }

    fn introduce(&self, card: &Card) {
        let (dir, module) = (card.path(""), self.module.path());
        match self.is_unused {
            true => println!(
                "A PIV card without keys. PIN {FACTORY_PIN}, PUK {PUK}; openssl.cnf expects \
                 the PIN {PIN}, from the file pin."
            ),
            false => println!(
                "A PIV card with keys and certificates in 9a, 9c, 9d and 9e (pkcs11:id=%01 … %04).\n\
                 PIN {PIN}, PUK {PUK}; openssl.cnf reads the PIN from the file pin."
            ),
        }
        println!(
            "directory  {}\n\
             module     {module}\n\
             card       card remove, card insert, card demand-touch SECONDS, card touch",
            dir.display()
        );
    }
}

enum Event {
    Told(UnixStream),
    Ended(io::Result<ExitStatus>),
}

/// Makes the command `card`; returns the PATH on which it is found.
fn install_hand(card: &Card) -> io::Result<OsString> {
    let bin = card.path("bin");
    fs::create_dir(&bin)?;
    let (program, socket) = (env::current_exe()?, card.path("hand"));
    let script = format!(
        "#!/bin/sh\nexec '{}' --hand '{}' \"$@\"\n",
        program.display(),
        socket.display()
    );
    fs::write(bin.join("card"), script)?;
    fs::set_permissions(bin.join("card"), fs::Permissions::from_mode(0o755))?;
    let path = env::var_os("PATH").unwrap_or_default();
    let all = [bin].into_iter().chain(env::split_paths(&path));
    env::join_paths(all).map_err(io::Error::other)
}

/// Says to the shell's card what to do, and waits until it is done.
fn tell(socket: &Path, command: &str) -> Result<(), String> {
    let talk = || -> io::Result<String> {
        let mut stream = UnixStream::connect(socket)?;
        writeln!(stream, "{command}")?;
        stream.shutdown(Shutdown::Write)?;
        let mut complaint = String::new();
        stream.read_to_string(&mut complaint)?;
        Ok(complaint)
    };
    match talk() {
        Ok(complaint) if complaint.is_empty() => Ok(()),
        Ok(complaint) => Err(complaint),
        Err(error) => Err(format!("{}: {error}", socket.display())),
    }
}

/// Does what is told, and answers what was wrong with it.
fn answer(card: &Card, mut stream: UnixStream) -> io::Result<()> {
    let mut command = String::new();
    BufReader::new(&stream).read_line(&mut command)?;
    match obey(card, command.trim_end()) {
        Some(()) => Ok(()),
        None => stream.write_all(HAND_USAGE.as_bytes()),
    }
}

fn obey(card: &Card, command: &str) -> Option<()> {
    match command.split_once(' ').unwrap_or((command, "")) {
        ("remove", "") => card.remove(),
        ("insert", "") => card.insert(),
        ("touch", "") => card.chip.touch(),
        ("demand-touch", seconds) => card.chip.demand_touch(seconds.parse().ok()?),
        _ => return None,
    }
    Some(())
}

fn code(status: ExitStatus) -> ExitCode {
    // None: a signal ended it.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
