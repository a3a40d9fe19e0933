//! Lists of names in messages: eight, then "and N more" (OpenSSL keeps 1,024 bytes).

/// How many names an error lists.
const NAMES: usize = 8;

/// "is A", "are A, B and 3 more", or "is" with `none`.
pub fn listed(one: &str, many: &str, none: &str, names: &[String]) -> String {
    match names.len() {
        0 => format!("{one} {none}"),
        1 => format!("{one} {}", names[0]),
        _ => format!("{many} {}", some_of(names)),
    }
}

/// "A, B and 3 more".
pub fn some_of(names: &[String]) -> String {
    let shown = names
        .iter()
        .take(NAMES)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().checked_sub(NAMES) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}
