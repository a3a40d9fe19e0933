//! Recovery: what is lost is begun anew, what is full is waited for, a refused authorisation is not
//! sent again.

use std::thread;
use std::time::{Duration, Instant};

use tpm2_abi::{Failure, Outcome, Task};

use crate::codes::{Remedy, is_refusal, remedy};
use crate::connections::Place;
use crate::esys::Result;
use crate::room;
use crate::task;
use crate::task::lockout::lockout;
use crate::tcti::Sharing;
use crate::tpm::{Connection, MOST_USES, Tpm};
use crate::turn::Turn;

/// How long a TPM may be at something else, or full.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a TPM that is gone may take to come back.
const ABSENCE: Duration = Duration::from_secs(3);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The first pause before a TPM that is gone is looked for again. tss2 writes four lines to standard
/// error each time.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The longest such pause.
const LONGEST_ABSENCE: Duration = Duration::from_millis(800);

/// How often objects may turn out not to be what they were.
const SURPRISES: u32 = 2;

/// Does `task`, as often as it makes sense.
pub fn run(place: &mut Place, task: &Task) -> Result<Outcome> {
    let _turn = (place.sharing == Sharing::Slots).then(Turn::take);
    let mut attempts = Attempts::new(task);
    let result = loop {
        match attempt(place, task) {
            Ok(outcome) => break Ok(outcome),
            Err(failure) => match attempts.recover(place, task, &failure) {
                true => continue,
                false => break Err(explained(place, failure)),
            },
        }
    };
    if place.sharing == Sharing::Exclusive {
        place.connection = None;
    }
    result
}

fn attempt(place: &mut Place, task: &Task) -> Result<Outcome> {
    if place
        .connection
        .as_ref()
        .is_some_and(|it| it.uses >= MOST_USES)
    {
        place.connection = None;
    }
    let connection = match &mut place.connection {
        Some(connection) => connection,
        none => none.insert(Connection::open(&place.tcti)?),
    };
    place.was_reached = true;
    connection.uses += 1;
    task::perform(&Tpm::new(connection, &place.kept), task)
}

/// The state of the dictionary attack protection goes with a refused authorisation.
fn explained(place: &Place, mut failure: Failure) -> Failure {
    if let Some(connection) = place.connection.as_ref().filter(|_| is_refusal(&failure)) {
        failure.lockout = lockout(&connection.esys).ok();
    }
    failure
}

/// What was tried already.
struct Attempts {
    since: Instant,
    /// When the connection was lost.
    lost: Option<Instant>,
    pause: Duration,
    surprises: u32,
    start_ups: u32,
    /// How often the connection may be lost in the middle of the task: the TPM may have counted a
    /// refused authorisation whose answer did not arrive.
    losses_left: u32,
}

impl Attempts {
    fn new(task: &Task) -> Self {
        Self {
            since: Instant::now(),
            lost: None,
            pause: Duration::from_millis(1),
            surprises: 0,
            start_ups: 0,
            losses_left: if task::has_secret(task) { 1 } else { 5 },
        }
    }

    /// Makes another attempt worth while, unless it is not.
    fn recover(&mut self, place: &mut Place, task: &Task, failure: &Failure) -> bool {
        match remedy(failure) {
            Remedy::None => false,
            Remedy::Pause => self.wait(self.since, PATIENCE),
            Remedy::Room => {
                let waited = self.since.elapsed();
                room::make(place, task, waited);
                self.wait(self.since, PATIENCE)
            }
            Remedy::StartUp => {
                self.start_ups += 1;
                let connection = place
                    .connection
                    .as_ref()
                    .filter(|_| self.start_ups <= SURPRISES);
                // Somebody else may have sent it meanwhile.
                connection.is_some_and(|connection| {
                    let sent = connection.esys.start_up();
                    sent.is_ok() || sent.is_err_and(|failure| remedy(&failure) == Remedy::StartUp)
                })
            }
            Remedy::Forget => {
                self.surprises += 1;
                forget(place);
                self.surprises <= SURPRISES
            }
            Remedy::Renew => self.renew(place),
        }
    }

    fn renew(&mut self, place: &mut Place) -> bool {
        let was_connected = place.connection.take().is_some();
        if was_connected {
            place.kept.take();
            if self.losses_left == 0 {
                return false;
            }
            self.losses_left -= 1;
        }
        let patience = match place.sharing {
            // Another process has the device.
            Sharing::Exclusive => PATIENCE,
            _ if place.was_reached => ABSENCE,
            _ => return false,
        };
        let lost = *self.lost.get_or_insert_with(Instant::now);
        was_connected || self.look_again(lost, patience)
    }

    /// As [`Self::wait`], less often.
    fn look_again(&mut self, since: Instant, patience: Duration) -> bool {
        self.pause = self.pause.max(LOOK_AGAIN);
        pause(&mut self.pause, LONGEST_ABSENCE, since, patience)
    }

    /// Pauses, each time longer, until it has been `patience` since `since`.
    fn wait(&mut self, since: Instant, patience: Duration) -> bool {
        pause(&mut self.pause, LONGEST_PAUSE, since, patience)
    }
}

fn pause(pause: &mut Duration, longest: Duration, since: Instant, patience: Duration) -> bool {
    let goes_on = since.elapsed() < patience;
    if goes_on {
        thread::sleep(*pause);
        *pause = (*pause * 2).min(longest);
    }
    goes_on
}

fn forget(place: &mut Place) {
    place.kept.take();
    if let Some(connection) = &place.connection {
        connection.forget();
    }
}
