//! What tpm2-tools save of objects: contexts of loaded ones (`tpm2_create -c`, `tpm2_load -c`; the file
//! format is that of `files.c`), and handles of persistent ones (`tpm2_readpublic -t`, `tpm2_evictcontrol
//! -o`; what Esys_TR_Serialize gives).

use tpm2_abi::Saved;

const MAGIC: [u8; 4] = [0xba, 0xdc, 0xc0, 0xde];
const VERSION: u32 = 1;

/// The context in `file`, all numbers big-endian: magic, version, hierarchy, handle, sequence, blob with
/// its size. `None` if it is none.
pub fn read(file: &[u8]) -> Option<Saved> {
    let rest = file.strip_prefix(&MAGIC)?;
    let (version, rest) = number(rest)?;
    let (hierarchy, rest) = number(rest)?;
    let (handle, rest) = number(rest)?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let blob = rest.get(..u16::from_be_bytes(*size).into())?;
    (version == VERSION).then(|| Saved {
        sequence: u64::from_be_bytes(*sequence),
        handle,
        hierarchy,
        blob: blob.to_vec(),
    })
}

/// The handle in `file`, which goes on with the object's Name (its size is that of a hash, and two bytes
/// for which one) and more that the TPM tells, too.
pub fn persistent(file: &[u8]) -> Option<u32> {
    let (handle, rest) = number(file)?;
    let (size, name) = rest.split_first_chunk()?;
    let size = usize::from(u16::from_be_bytes(*size));
    let is_name = (22..=66).contains(&size) && name.len() > size;
    (handle >> 24 == 0x81 && is_name).then_some(handle)
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_context_is_read_and_a_cut_one_is_none() {
        let numbers = [1u32, 0x4000_0001, 0x8000_0000]
            .map(u32::to_be_bytes)
            .concat();
        let file = [&MAGIC[..], &numbers, &9u64.to_be_bytes(), &[0, 3, 1, 2, 3]].concat();
        let saved = read(&file).unwrap();
        assert_eq!((saved.hierarchy, saved.handle), (0x4000_0001, 0x8000_0000));
        assert_eq!((saved.sequence, saved.blob), (9, vec![1, 2, 3]));
        assert!((0..file.len()).all(|end| read(&file[..end]).is_none()));
    }

    #[test]
    fn a_handle_is_read_from_what_follows_it() {
        let file = [&[0x81, 0, 0, 1, 0, 34][..], &[7; 34], &[0, 0, 0, 1]].concat();
        assert_eq!(persistent(&file), Some(0x8100_0001));
        assert_eq!(persistent(&file[..40]), None);
        assert_eq!(persistent(&[&[0x80][..], &file[1..]].concat()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read(&[&MAGIC[..], &bytes].concat());
            let _ = persistent(&[&[0x81][..], &bytes].concat());
        }
    }
}
