//! PINs: what they are, where they come from.

mod prompt;
mod source;

use std::ops::Deref;

use ossl_shim::process::Secret;
pub use prompt::PinPrompt;
pub use source::PinSource;

/// A PIN: on a locked page that no core dump shows, cleared when dropped. It can't be printed.
pub struct Pin(Secret);

impl Pin {
    /// A copy of `bytes`; `None` if there are more than 1,024.
    pub fn copied(bytes: &[u8]) -> Option<Self> {
        Secret::copied(bytes).map(Self)
    }

    /// Filled in place, without a copy elsewhere.
    pub fn filled(fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<Self> {
        Secret::filled(fill).map(Self)
    }
}

impl Deref for Pin {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Where the PIN of a key comes from: what its URI said, or openssl.cnf.
#[derive(Clone, Debug)]
pub struct PinPolicy {
    pub source: Option<PinSource>,
    /// `pin-keep`: whether the PIN that was accepted is kept for later logins.
    pub keep: bool,
    /// `pin-prompt`: who is asked last.
    pub prompt: Option<PinPrompt>,
    /// `pin-final-try = allow`.
    pub spend_final_try: bool,
}

/// The length without one line end, which is not part of a PIN.
fn without_line_end(bytes: &[u8]) -> usize {
    let end = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    end.strip_suffix(b"\r").unwrap_or(end).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_end_is_dropped() {
        assert_eq!(without_line_end(b"12 34\r\n"), 5);
        assert_eq!(without_line_end(b"12\r"), 2);
        assert_eq!(without_line_end(b"12\n\n"), 3);
        assert_eq!(without_line_end(b""), 0);
    }
}
