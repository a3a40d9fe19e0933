//! A PIV card in software, in the reader that vpcd offers at a TCP port: the application of
//! Nitrokey's firmware, behind what a real card does around it. It has no keys, and the PIN 123456.
//! It is there until its reader goes away.
//!
//! usage: hwkey-test-card PORT SERIAL

mod apdu;
mod applet;
mod card;

use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use socket2::SockRef;
use vpicc::Connection;

use card::Card;

fn main() {
    let numbers: Vec<u32> = env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    let [port, serial] = numbers[..] else {
        panic!("usage: hwkey-test-card PORT SERIAL");
    };
    let port = u16::try_from(port).expect("a port");
    let stream = reader(port).expect("no reader");
    let ended = applet::with(|applet| serve(stream, Card::new(applet, serial)));
    println!("{}", ended.expect_err("it is there for ever"));
}

/// The reader may be starting still.
fn reader(port: u16) -> io::Result<TcpStream> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Err(_) if Instant::now() < deadline => thread::park_timeout(Duration::from_millis(10)),
            stream => return stream,
        }
    }
}

fn serve(stream: TcpStream, mut card: Card<'_>) -> io::Result<()> {
    let mut connection = Connection::from(stream.try_clone()?);
    loop {
        // Linux forgets it.
        SockRef::from(&stream).set_tcp_quickack(true)?;
        connection.poll(&mut card)?;
    }
}
