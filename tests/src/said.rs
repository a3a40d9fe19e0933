//! What a program that failed printed: every failure names what was attempted, where, the token's own
//! code and the cure, both in OpenSSL's error queue and in the log.

use crate::{Bench, KeyType, PIN, Run};

/// A PIN that every token of the tests refuses.
pub const WRONG_PIN: &str = "11223344";

/// What a program that failed printed of hwkey.
pub struct Said {
    /// hwkey's entries in OpenSSL's error queue, oldest first: the cause, then what it stopped.
    pub queue: Vec<String>,
    /// hwkey's lines in the log: `hwkey: error: …`
    pub log: Vec<String>,
    /// Its whole output.
    pub all: String,
}

impl Said {
    /// Runs a program that fails. Whatever happens, hwkey repeats no PIN and does not quote the
    /// PKCS#11 standard.
    #[track_caller]
    pub fn by(run: Run) -> Self {
        let all = run.fails();
        let lines = |belongs: fn(&str) -> bool| -> Vec<String> {
            all.lines()
                .filter(|line| belongs(line))
                .map(str::to_owned)
                .collect()
        };
        let said = Self {
            queue: lines(|line| line.contains(":hwkey:")),
            log: lines(|line| line.starts_with("hwkey: ")),
            all: all.clone(),
        };
        for line in said.queue.iter().chain(&said.log) {
            for secret in [PIN, WRONG_PIN, "Section"] {
                assert!(!line.contains(secret), "{secret} is in {line}");
            }
        }
        said
    }

    /// The cause has the reason and every one of `parts`, in the queue and in the log; and the
    /// newest entry says what was stopped.
    #[track_caller]
    pub fn names(&self, reason: &str, stopped: &str, parts: &[&str]) -> &Self {
        let [cause, .., last] = &self.queue[..] else {
            panic!("the queue lacks the cause or what it stopped\n{}", self.all);
        };
        for entry in [cause, last] {
            assert!(entry.contains(&format!(":{reason}:")), "{}", self.all);
        }
        assert!(last.contains(stopped), "{stopped}: {last}");
        self.logs("error", reason, parts);
        for part in parts {
            assert!(cause.contains(part), "\"{part}\" is missing in {cause}");
        }
        self
    }

    /// The log has a line of this level with the reason and every one of `parts`.
    #[track_caller]
    pub fn logs(&self, level: &str, reason: &str, parts: &[&str]) {
        let start = format!("hwkey: {level}: {reason}: ");
        let line = self.log.iter().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("no \"{start}\" in\n{}", self.all));
        for part in parts {
            assert!(line.contains(part), "\"{part}\" is missing in {line}");
        }
    }

    /// No entry of the queue and no line of the log has `text`.
    #[track_caller]
    pub fn never(&self, text: &str) -> &Self {
        for line in self.queue.iter().chain(&self.log) {
            assert!(!line.contains(text), "{line}");
        }
        self
    }
}

/// A token `label` with the P-256 key `device`, and the file `message`.
pub fn bench(label: &str) -> Bench {
    let bench = Bench::new(label);
    bench.token.make_key(KeyType::P256, "device", "01");
    std::fs::write(bench.path("message"), "to whom it may concern").expect("message");
    bench
}

/// A program that loads the key at `uri`.
pub fn load(bench: &Bench, uri: &str) -> Run {
    bench.openssl("pkey -in {} -noout", &[uri])
}

/// What is said of a key at `uri` that does not load.
#[track_caller]
pub fn failed_load(bench: &Bench, uri: &str) -> Said {
    Said::by(load(bench, uri))
}

/// How messages name the token `label`: with its manufacturer and serial number.
pub fn identity(bench: &Bench, label: &str) -> String {
    let serial = bench.token.serial(label);
    format!("token \"{label}\" (SoftHSM project, serial {serial})")
}

/// What must work whatever openssl.cnf says about hwkey: hashing, software keys and their use.
#[track_caller]
pub fn software_works(bench: &Bench) {
    bench.openssl("dgst -sha256 message", &[]).ok();
    bench
        .openssl(
            "genpkey -algorithm EC -pkeyopt group:P-256 -out software.key",
            &[],
        )
        .ok();
    bench
        .openssl("dgst -sha256 -sign software.key -out s message", &[])
        .ok();
}
