//! A PIV card in software, in the reader that vpcd offers at a TCP port: the application of
//! Nitrokey's firmware, behind what a real card does around it. At first it has no keys, and the PIN
//! 123456. It keeps them while it is out of the reader, and when the reader goes away and comes back.
//!
//! usage: hwkey-test-card PORT SERIAL
//!
//! It ends at the end of its standard input, and follows what is written there, line by line:
//! `remove` and `insert`, `demand-touch SECONDS` (from now on each signature waits for a touch, so
//! long), `touch`.

mod apdu;
mod applet;
mod card;
mod hand;

use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;
use std::{env, io, process, thread};

use socket2::SockRef;
use vpicc::Connection;

use card::Card;
use hand::Hand;

fn main() {
    let numbers: Vec<u32> = env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    let [port, serial] = numbers[..] else {
        panic!("usage: hwkey-test-card PORT SERIAL");
    };
    let port = u16::try_from(port).expect("a port");
    let hand = Hand::default();
    applet::with(|applet| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let ended = hand.follow_commands();
                process::exit(i32::from(ended.is_err()));
            });
            let mut card = Card::new(applet, serial, &hand);
            loop {
                hand.wait_for_insertion();
                let stream = reader(port);
                let in_reader = serve(stream, &hand, &mut card);
                println!(
                    "out of the reader: {}",
                    in_reader.expect_err("it is there for ever")
                );
            }
        })
    });
}

/// The reader may be starting still, or be away.
fn reader(port: u16) -> TcpStream {
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(stream) => return stream,
            Err(_) => thread::park_timeout(Duration::from_millis(10)),
        }
    }
}

fn serve(stream: TcpStream, hand: &Hand, card: &mut Card<'_>) -> io::Result<()> {
    if !hand.connected_by(stream.try_clone()?) {
        return Err(io::Error::other("it was taken out again"));
    }
    let mut connection = Connection::from(stream.try_clone()?);
    loop {
        // Linux forgets it.
        SockRef::from(&stream).set_tcp_quickack(true)?;
        connection.poll(card)?;
    }
}
