//! The hand at the card: it puts it in and takes it out, and touches it. What it does is read from
//! standard input.

use std::io::{self, BufRead};
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where the hand is.
#[derive(Default)]
pub struct Hand {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_out: bool,
    /// The wire to the reader, while there is one.
    wire: Option<TcpStream>,
    /// The card wants to be touched before it signs, and waits for so long.
    wants_touch: Option<Duration>,
    touches: usize,
}

impl Hand {
    /// Follows the commands until there are no more.
    pub fn follow_commands(&self) -> io::Result<()> {
        for line in io::stdin().lock().lines() {
            self.follow(&line?);
        }
        Ok(())
    }

    fn follow(&self, command: &str) {
        let mut state = self.state();
        match command.split_once(' ').unwrap_or((command, "")) {
            ("remove", "") => {
                state.is_out = true;
                if let Some(wire) = state.wire.take() {
                    // It may have been cut already.
                    let _ = wire.shutdown(Shutdown::Both);
                }
            }
            ("insert", "") => state.is_out = false,
            ("touch", "") => state.touches += 1,
            ("demand-touch", seconds) => {
                let seconds = seconds.parse().expect("demand-touch SECONDS");
                state.wants_touch = Some(Duration::from_secs(seconds));
            }
            _ => panic!(
                "there is no command {command:?}: remove, insert, demand-touch SECONDS, touch"
            ),
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until the card is to be in the reader.
    pub fn wait_for_insertion(&self) {
        let waited = self.changed.wait_while(self.state(), |state| state.is_out);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// The card is connected by `wire`; false if it has been taken out again.
    pub fn connected_by(&self, wire: TcpStream) -> bool {
        let mut state = self.state();
        state.wire = Some(wire);
        !state.is_out
    }

    /// Whether the card may sign now: it waits for a touch, if it wants one.
    pub fn allows(&self) -> bool {
        let mut state = self.state();
        let Some(patience) = state.wants_touch else {
            return true;
        };
        println!("waiting for a touch");
        let deadline = Instant::now() + patience;
        while state.touches == 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.touches -= 1;
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
