//! Whoever listens on the bus.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Tpm, free_ports};

/// Everything that went to a TPM and came from it.
pub struct Wire {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    /// Between us and `tpm`. Its threads end with the process.
    pub fn tap(tpm: &Tpm) -> Self {
        let port = free_ports();
        let heard = Arc::default();
        for channel in 0..2 {
            let listener = TcpListener::bind(("127.0.0.1", port + channel)).unwrap();
            let (to, heard) = (tpm.port() + channel, Arc::clone(&heard));
            thread::spawn(move || {
                for from in listener.incoming() {
                    let to = TcpStream::connect(("127.0.0.1", to)).unwrap();
                    relay(from.unwrap(), to, &heard);
                }
            });
        }
        Self { port, heard }
    }

    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    pub fn heard(&self, secret: &[u8]) -> bool {
        let heard = self.heard.lock().unwrap();
        assert!(!heard.is_empty());
        heard.windows(secret.len()).any(|part| part == secret)
    }
}

fn relay(from: TcpStream, to: TcpStream, heard: &Arc<Mutex<Vec<u8>>>) {
    let ways = [
        (from.try_clone().unwrap(), to.try_clone().unwrap()),
        (to, from),
    ];
    let threads = ways.map(|(mut from, mut to)| {
        let heard = Arc::clone(heard);
        thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(size @ 1..) = from.read(&mut part) {
                heard.lock().unwrap().extend(&part[..size]);
                if to.write_all(&part[..size]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        })
    });
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}
