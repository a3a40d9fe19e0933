//! Asking on the terminal that controls the process, tty(4).

use std::fs::File;
use std::io::{self, Write};
use std::time::Instant;

use rustix::process::{Signal, getpgrp, kill_process_group};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp,
    tcsetattr,
};

use super::line;
use crate::pin::Pin;

/// Asks `question`. Ctrl-C and Ctrl-Z do what they do elsewhere, but not before the terminal is as it
/// was: so they are read as ends of the line here, and sent on as signals afterwards. (A signal that
/// comes from elsewhere and ends the process leaves the terminal silent; handlers are the program's.)
pub fn ask(question: &str, deadline: Instant) -> io::Result<Option<Pin>> {
    loop {
        let mut terminal = Terminal::open()?;
        terminal.device.write_all(question.as_bytes())?;
        let keys = [terminal.interrupt, terminal.suspend];
        // 0 stands for a key that is switched off.
        let keys: Vec<u8> = keys.into_iter().filter(|key| *key != 0).collect();
        let line = line::read(&mut terminal.device, &keys, deadline)?;
        let (interrupt, suspend) = (terminal.interrupt, terminal.suspend);
        drop(terminal);
        match line.end {
            Some(key) if key == interrupt => {
                kill_process_group(getpgrp(), Signal::INT)?;
                return Err(io::Error::other("it was interrupted"));
            }
            // Stopped here, and asked anew when somebody continues us.
            Some(key) if key == suspend => kill_process_group(getpgrp(), Signal::TSTP)?,
            // Other keys that are signals elsewhere (Ctrl-\\) must not cost a try.
            _ if line.pin.as_deref().is_some_and(has_control) => {
                return Err(io::Error::other("the answer has a control character"));
            }
            _ => return Ok(line.pin),
        }
    }
}

fn has_control(pin: &[u8]) -> bool {
    pin.iter().any(u8::is_ascii_control)
}

/// The terminal while it shows nothing of what is typed; dropping it restores what was.
struct Terminal {
    device: File,
    before: Termios,
    interrupt: u8,
    suspend: u8,
}

impl Terminal {
    fn open() -> io::Result<Self> {
        let device = File::options().read(true).write(true).open("/dev/tty")?;
        // A process in the background would be stopped, with all its threads.
        if tcgetpgrp(&device)? != getpgrp() {
            return Err(io::Error::other("the process is in the background"));
        }
        let before = tcgetattr(&device)?;
        let interrupt = before.special_codes[SpecialCodeIndex::VINTR];
        let suspend = before.special_codes[SpecialCodeIndex::VSUSP];
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ISIG);
        // Lines, even if the program has the terminal in raw mode.
        let lines = LocalModes::ECHONL | LocalModes::ICANON | LocalModes::IEXTEN;
        silent.local_modes.insert(lines);
        silent
            .input_modes
            .remove(InputModes::IGNCR | InputModes::INLCR);
        silent.input_modes.insert(InputModes::ICRNL);
        silent.special_codes[SpecialCodeIndex::VEOL] = interrupt;
        silent.special_codes[SpecialCodeIndex::VEOL2] = suspend;
        // What was typed before the question is not an answer to it.
        tcsetattr(&device, OptionalActions::Flush, &silent)?;
        Ok(Self {
            device,
            before,
            interrupt,
            suspend,
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The rest of an answer must not reach the shell.
        if let Err(error) = tcsetattr(&self.device, OptionalActions::Flush, &self.before) {
            log::debug!("restoring the terminal: {error}");
        }
    }
}
