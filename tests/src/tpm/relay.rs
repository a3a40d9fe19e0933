//! Who listens on the bus between programs and the TPM.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Tpm, two_ports};

/// A way to the TPM on which everything is recorded.
pub struct Relay {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Relay {
    /// A relay before a TPM that programs reach directly. It works until the process ends.
    pub fn before(tpm: &Tpm) -> Self {
        let relay = Self {
            port: two_ports(),
            heard: Arc::default(),
        };
        for offset in 0..2 {
            let listener = TcpListener::bind(("127.0.0.1", relay.port + offset)).expect("a port");
            let (to, heard) = (tpm.port + offset, relay.heard.clone());
            thread::spawn(move || {
                for client in listener.incoming() {
                    let heard = heard.clone();
                    thread::spawn(move || pass_on(client?, to, &heard));
                }
            });
        }
        relay
    }

    /// How programs reach the TPM through it.
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Whether `secret` has passed, in one piece.
    pub fn has_heard(&self, secret: &[u8]) -> bool {
        assert!(secret.len() >= 8, "too short to be known again");
        let heard = self.heard.lock().expect("the record");
        heard.windows(secret.len()).any(|piece| piece == secret)
    }

    /// How much has passed.
    pub fn amount(&self) -> usize {
        self.heard.lock().expect("the record").len()
    }
}

/// Both directions of one connection.
fn pass_on(client: TcpStream, to: u16, heard: &Arc<Mutex<Vec<u8>>>) -> io::Result<()> {
    let tpm = TcpStream::connect(("127.0.0.1", to))?;
    let (from, back) = (tpm.try_clone()?, client.try_clone()?);
    let record = heard.clone();
    let answers = thread::spawn(move || copy(from, back, &record));
    copy(client, tpm, heard)?;
    answers.join().expect("the answers")
}

fn copy(mut from: TcpStream, mut to: TcpStream, heard: &Mutex<Vec<u8>>) -> io::Result<()> {
    let mut room = [0; 8192];
    loop {
        let size = from.read(&mut room)?;
        if size == 0 {
            return to.shutdown(Shutdown::Write);
        }
        heard.lock().expect("the record").extend(&room[..size]);
        to.write_all(&room[..size])?;
    }
}
