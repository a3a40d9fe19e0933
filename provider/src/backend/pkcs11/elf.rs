//! The architecture of a module's file. The dynamic linker says of one for another machine that
//! there is no such file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The ELF machine numbers (elf(5), `e_machine`) of `path` and of this program, if they differ.
pub fn foreign_machine(path: &Path) -> Option<(u16, u16)> {
    let its = machine(path)?;
    let ours = machine(Path::new("/proc/self/exe"))?;
    (its != ours).then_some((its, ours))
}

/// `None` for what is no ELF file of this machine's byte order.
fn machine(path: &Path) -> Option<u16> {
    let mut header = [0; 20];
    File::open(path).ok()?.read_exact(&mut header).ok()?;
    header
        .starts_with(b"\x7FELF")
        .then(|| u16::from_ne_bytes([header[18], header[19]]))
}
