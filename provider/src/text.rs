//! Text of others in our messages, questions and files: labels are the token's, and may hold anything.

/// One line, and nothing that a terminal or a reader takes for more than text: no control characters,
/// no change of direction (Unicode's bidirectional formatting characters).
pub fn one_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{2029}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => ' ',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_plays_no_tricks() {
        assert_eq!(
            one_line("a\u{1b}[2Jb\n\u{202e}c\0\u{2028}d"),
            "a [2Jb  c  d"
        );
    }
}
