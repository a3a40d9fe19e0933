//! One connection per TCTI and process, for one task at a time.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ossl_shim::process::PerProcess;
use tpm2_abi::{Cause, Failure};

use crate::esys::Result;
use crate::kept::Kept;
use crate::tcti::{Sharing, sharing};
use crate::tpm::Connection;

/// A forked child makes its own connections, and lets those of its parent alone: the parent still uses
/// what is behind the descriptors.
static GATES: PerProcess<Mutex<HashMap<String, Arc<Gate>>>> = PerProcess::new();

/// How long a task waits for those before it. Making an RSA key takes some TPMs half a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// More TCTIs than this are not remembered.
const MOST_GATES: usize = 16;

/// What there is of one TCTI in this process.
pub struct Place {
    pub tcti: String,
    pub sharing: Sharing,
    pub connection: Option<Connection>,
    /// There was a connection once.
    pub was_reached: bool,
    /// See [`crate::turn`].
    pub in_vain: Option<Instant>,
    pub kept: RefCell<Kept>,
}

/// Lets tasks in one by one, in the order in which they came.
struct Gate {
    queue: Mutex<Queue>,
    moved: Condvar,
}

struct Queue {
    /// Unless a task has it.
    place: Option<Place>,
    waiting: VecDeque<u64>,
    last: u64,
}

/// The place, for one task.
pub struct Lease {
    place: Option<Place>,
    gate: Arc<Gate>,
}

/// The place for `tcti`, when all tasks that came before are done.
pub fn lease(tcti: &str) -> Result<Lease> {
    Gate::of(tcti).enter(PATIENCE)
}

impl Gate {
    fn of(tcti: &str) -> Arc<Self> {
        let mut gates = lock(GATES.get(Mutex::default));
        if let Some(gate) = gates.get(tcti) {
            return gate.clone();
        }
        let gate = Arc::new(Self::new(tcti));
        if gates.len() < MOST_GATES {
            gates.insert(tcti.to_owned(), gate.clone());
        }
        gate
    }

    fn new(tcti: &str) -> Self {
        let place = Place {
            tcti: tcti.to_owned(),
            sharing: sharing(tcti),
            connection: None,
            was_reached: false,
            in_vain: None,
            kept: RefCell::default(),
        };
        Self {
            queue: Mutex::new(Queue {
                place: Some(place),
                waiting: VecDeque::new(),
                last: 0,
            }),
            moved: Condvar::new(),
        }
    }

    fn enter(self: Arc<Self>, patience: Duration) -> Result<Lease> {
        let deadline = Instant::now() + patience;
        let mut queue = lock(&self.queue);
        queue.last += 1;
        let me = queue.last;
        queue.waiting.push_back(me);
        loop {
            let first = queue.waiting.front() == Some(&me);
            if let Some(place) = queue.place.take_if(|_| first) {
                queue.waiting.pop_front();
                drop(queue);
                let place = Some(place);
                return Ok(Lease { place, gate: self });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                queue.waiting.retain(|waiting| *waiting != me);
                self.moved.notify_all();
                return Err(busy(patience));
            }
            let waited = self.moved.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Deref for Lease {
    type Target = Place;

    fn deref(&self) -> &Place {
        self.place.as_ref().expect("it is there until drop")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Place {
        self.place.as_mut().expect("it is there until drop")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.gate.queue).place = self.place.take();
        self.gate.moved.notify_all();
    }
}

fn busy(waited: Duration) -> Failure {
    Failure {
        function: "hwkey-tpm2".into(),
        cause: Cause::Busy {
            waited: waited.as_millis() as u32,
        },
        lockout: None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn tasks_get_in_one_by_one_in_their_order_or_are_told_that_it_is_busy() {
        let gate = Arc::new(Gate::new("none"));
        let first = gate.clone().enter(PATIENCE).unwrap();
        let refused = gate.clone().enter(Duration::from_millis(1));
        assert!(matches!(
            refused,
            Err(Failure {
                cause: Cause::Busy { waited: 1 },
                ..
            })
        ));
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for number in 0..4 {
                let (gate, order) = (gate.clone(), &order);
                let before = lock(&gate.queue).waiting.len();
                let waiting = gate.clone();
                scope.spawn(move || {
                    let lease = gate.enter(PATIENCE).unwrap();
                    lock(order).push(number);
                    drop(lease);
                });
                while lock(&waiting.queue).waiting.len() == before {
                    thread::yield_now();
                }
            }
            drop(first);
        });
        assert_eq!(*lock(&order), [0, 1, 2, 3]);
    }
}
