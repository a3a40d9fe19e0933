//! Recovery: what is lost is begun anew, what is full is waited for, a refused authorisation is not
//! sent again.

use std::thread;
use std::time::{Duration, Instant};

use tpm2_abi::{Cause, Failure, Outcome, Task};
use tss_esapi::constants::tss::{
    TPM2_PT_HR_LOADED_AVAIL, TPM2_PT_HR_TRANSIENT_AVAIL, TPM2_RC_OBJECT_MEMORY,
    TPM2_RC_SESSION_MEMORY,
};

use crate::codes::{Remedy, is_refusal, remedy};
use crate::connections::Place;
use crate::esys::Result;
use crate::room::Room;
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
    let mut attempts = Attempts::new(task);
    loop {
        let turn = take_turn(place);
        attempts.is_alone = turn.as_ref().is_some_and(Turn::is_taken);
        let result = match attempts.still_full(place) {
            Some(failure) => Err(failure),
            None => attempt(place, task),
        };
        let next = result.map_err(|failure| {
            let pause = attempts.recover(place, &failure);
            pause.ok_or_else(|| explained(place, failure, attempts.since))
        });
        if place.sharing == Sharing::Exclusive {
            place.connection = None;
        }
        let pause = match next {
            Ok(outcome) => return Ok(outcome),
            Err(pause) => pause?,
        };
        // Others go on meanwhile.
        drop(turn);
        thread::sleep(pause);
    }
}

/// None where a resource manager keeps processes apart.
fn take_turn(place: &Place) -> Option<Turn> {
    (place.sharing != Sharing::Managed).then(|| Turn::take(&place.tcti))
}

fn attempt(place: &mut Place, task: &Task) -> Result<Outcome> {
    place.connection.take_if(|it| it.uses >= MOST_USES);
    let connection = match &mut place.connection {
        Some(connection) => connection,
        none => none.insert(Connection::open(&place.tcti)?),
    };
    place.was_reached = true;
    connection.uses += 1;
    task::perform(&Tpm::new(connection, &place.kept), task)
}

/// The state of the dictionary attack protection goes with a refused authorisation, and the time with
/// what others did not let go of.
fn explained(place: &Place, mut failure: Failure, since: Instant) -> Failure {
    if let Cause::Busy { waited } = &mut failure.cause {
        *waited = since.elapsed().as_millis() as u32;
    }
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
    absence: Duration,
    /// No other process of hwkey is at work.
    is_alone: bool,
    room: Room,
    /// What the TPM said when it was full.
    full: Option<Failure>,
    surprises: u32,
    start_ups: u32,
    /// How often the connection may be lost in the middle of the task.
    losses_left: u32,
    /// Authorisation values that may be wrong.
    sends_secrets: bool,
}

impl Attempts {
    fn new(task: &Task) -> Self {
        Self {
            since: Instant::now(),
            lost: None,
            pause: Duration::from_millis(1),
            absence: LOOK_AGAIN,
            is_alone: false,
            room: Room::default(),
            full: None,
            surprises: 0,
            start_ups: 0,
            losses_left: 5,
            sends_secrets: task::has_secret(task),
        }
    }

    /// What the TPM would say again, as far as it tells without being tried: tss2 writes each refusal to
    /// standard error.
    fn still_full(&mut self, place: &Place) -> Option<Failure> {
        let full = self.full.take()?;
        let property = match full.cause {
            Cause::Code(TPM2_RC_OBJECT_MEMORY) => TPM2_PT_HR_TRANSIENT_AVAIL,
            Cause::Code(TPM2_RC_SESSION_MEMORY) => TPM2_PT_HR_LOADED_AVAIL,
            _ => return None,
        };
        let values = place
            .connection
            .as_ref()?
            .esys
            .properties(property, 1)
            .ok()?;
        (values.first() == Some(&(property, 0))).then_some(full)
    }

    /// Makes another attempt worth while, after a pause, unless it is not.
    fn recover(&mut self, place: &mut Place, failure: &Failure) -> Option<Duration> {
        match remedy(failure) {
            Remedy::None => None,
            Remedy::Pause => self.wait(),
            Remedy::Room => {
                if self.is_alone {
                    self.room.make(place);
                }
                self.full = Some(failure.clone());
                self.wait()
            }
            Remedy::StartUp => self.start_up(place),
            Remedy::Forget => {
                self.surprises += 1;
                forget(place);
                (self.surprises <= SURPRISES).then_some(Duration::ZERO)
            }
            // Its answer did not arrive: the TPM may have counted a refused value.
            Remedy::Renew if self.sends_secrets && carries_value(&failure.function) => None,
            Remedy::Renew => self.renew(place),
        }
    }

    /// Pauses, each time longer.
    fn wait(&mut self) -> Option<Duration> {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        (self.since.elapsed() < PATIENCE).then_some(pause)
    }

    fn start_up(&mut self, place: &Place) -> Option<Duration> {
        self.start_ups += 1;
        let connection = place.connection.as_ref();
        let connection = connection.filter(|_| self.start_ups <= SURPRISES)?;
        let sent = connection.esys.start_up();
        // Somebody else may have sent it meanwhile.
        let is_up = sent.map_or_else(|it| remedy(&it) == Remedy::StartUp, |()| true);
        is_up.then_some(Duration::ZERO)
    }

    fn renew(&mut self, place: &mut Place) -> Option<Duration> {
        let lost = *self.lost.get_or_insert_with(Instant::now);
        if place.connection.take().is_some() {
            place.kept.take();
            self.losses_left = self.losses_left.checked_sub(1)?;
            return Some(Duration::ZERO);
        }
        let absence = self.absence;
        self.absence = (absence * 2).min(LONGEST_ABSENCE);
        (place.was_reached && lost.elapsed() < ABSENCE).then_some(absence)
    }
}

/// Whether an authorisation value goes with the command.
fn carries_value(function: &str) -> bool {
    [
        "TPM2_Create",
        "TPM2_CreatePrimary",
        "TPM2_ECDH_ZGen",
        "TPM2_Import",
        "TPM2_Load",
        "TPM2_NV_Read",
        "TPM2_PolicySecret",
        "TPM2_RSA_Decrypt",
        "TPM2_Sign",
    ]
    .contains(&function)
}

fn forget(place: &mut Place) {
    place.kept.take();
    if let Some(connection) = &place.connection {
        connection.forget();
    }
}
