//! Ports and waiting.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long anything in a test may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// A TCP port of 127.0.0.1 that nobody uses now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}

/// Waits until somebody listens on `port`.
pub fn wait_for_port(port: u16) {
    wait_until(&format!("a server on port {port}"), || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        // Between two looks at the condition, not instead of one.
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
