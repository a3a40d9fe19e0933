//! Tables of the documentation: what works, and what is said when it does not.

use std::{env, fs};

use crate::{page, repository};

/// What a table that is made by a test ends with.
const END: &str = "<!-- to here -->\n";

/// The table on the page that the test `maker` makes is `table`. With HWKEY_BLESS=1 it is put there.
#[track_caller]
pub fn has_table(name: &str, maker: &str, table: &str) {
    let begin = format!("<!-- made by {maker} -->\n");
    let text = page(name);
    let (before, rest) = text.split_once(&begin).expect(&begin);
    let (printed, after) = rest.split_once(END).expect(END);
    if env::var_os("HWKEY_BLESS").is_some_and(|value| value == "1") {
        let text = format!("{before}{begin}{table}{END}{after}");
        fs::write(repository().join(name), text).expect(name);
        return;
    }
    assert!(
        printed == table,
        "{name} says something else than this (HWKEY_BLESS=1 rewrites it):\n{table}"
    );
}

/// Every message in the first column of the page's "Usual errors" is in a line of `seen`, but for
/// `elsewhere`, which can't be had on every machine.
#[track_caller]
pub fn has_only_messages_that_are_seen(name: &str, seen: &str, elsewhere: &[&str]) {
    let text = page(name);
    let table = text.split("\n## Usual errors\n").nth(1).expect("a table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut messages = Vec::new();
    for row in rows {
        let cell = row.split(" | ").next().expect("a cell");
        messages.extend(cell.split('`').filter(|part| part.len() > 2));
    }
    assert!(messages.len() > 10, "{messages:?}");
    for message in messages {
        let is_seen = |line: &str| {
            let mut rest = Some(line);
            for part in message.split(" … ") {
                rest = rest.and_then(|rest| Some(rest.split_once(part)?.1));
            }
            rest.is_some()
        };
        assert!(
            elsewhere.contains(&message) || seen.lines().any(is_seen),
            "nobody says {message:?}: {seen}"
        );
    }
}
