//! Messages as bytes.

use postcard::experimental::serialized_size;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// `message` in memory that is cleared afterwards, and was allocated in one piece.
pub fn to_bytes(message: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, String> {
    let size = serialized_size(message).map_err(|error| error.to_string())?;
    let mut bytes = Zeroizing::new(vec![0; size]);
    postcard::to_slice(message, &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// The message in `bytes`, which must hold nothing else.
pub fn from_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err("more bytes than the message has".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Input, Object, Reply, Request, Secret, SignScheme, Source, Task};

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let request = Request {
            tcti: "device:/dev/tpmrm0".into(),
            task: Task::Sign {
                object: Object {
                    source: Source::Persistent(0x8100_0001),
                    name: None,
                    auth: Secret::copied(b"auth"),
                    parent_auth: Secret::default(),
                },
                scheme: SignScheme::Ecdsa { hash: 0x0b },
                input: Input::Digest(vec![7; 32]),
            },
        };
        let bytes = to_bytes(&request).unwrap();
        let again: Request = from_bytes(&bytes).unwrap();
        assert_eq!(*to_bytes(&again).unwrap(), *bytes);
        assert!(from_bytes::<Request>(&bytes[..bytes.len() - 1]).is_err());
        assert!(from_bytes::<Request>(&[&bytes[..], &[0]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>) {
            let _ = from_bytes::<Request>(&bytes);
            let _ = from_bytes::<Reply>(&bytes);
        }
    }
}
