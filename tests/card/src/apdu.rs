//! Commands as they are sent, ISO 7816-4 §5.1.

/// A command in parts.
pub struct Apdu {
    pub class: u8,
    pub instruction: u8,
    pub parameters: [u8; 2],
    pub data: Vec<u8>,
    /// How long the answer may be.
    pub expected: usize,
}

/// This command is to be continued.
const CHAINED: u8 = 0x10;

/// What a command without Le may be answered at most, as clients rely on.
const SHORT: usize = 256;

impl Apdu {
    pub fn parse(command: &[u8]) -> Option<Self> {
        let (&[class, instruction, p1, p2], body) = command.split_first_chunk()?;
        let (data, expected) = match *body {
            [] => (&[][..], SHORT),
            [le] => (&[][..], short(le)),
            [0, high, low] => (&[][..], long(high, low)),
            [0, high, low, ref rest @ ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                let (data, le) = rest.split_at_checked(length)?;
                match *le {
                    [] => (data, SHORT),
                    [high, low] => (data, long(high, low)),
                    _ => return None,
                }
            }
            [length, ref rest @ ..] => {
                let (data, le) = rest.split_at_checked(length.into())?;
                match *le {
                    [] => (data, SHORT),
                    [le] => (data, short(le)),
                    _ => return None,
                }
            }
        };
        Some(Self {
            class,
            instruction,
            parameters: [p1, p2],
            data: data.to_vec(),
            expected,
        })
    }

    pub fn is_chained(&self) -> bool {
        self.class & CHAINED != 0
    }

    /// In the extended form, which holds everything.
    pub fn to_bytes(&self) -> Vec<u8> {
        let [p1, p2] = self.parameters;
        let mut bytes = vec![self.class, self.instruction, p1, p2];
        if self.data.is_empty() {
            return bytes;
        }
        let length = u16::try_from(self.data.len()).expect("a chain has an end");
        bytes.push(0);
        bytes.extend(length.to_be_bytes());
        bytes.extend(&self.data);
        bytes
    }
}

fn short(le: u8) -> usize {
    match le {
        0 => SHORT,
        _ => le.into(),
    }
}

fn long(high: u8, low: u8) -> usize {
    match u16::from_be_bytes([high, low]) {
        0 => 1 << 16,
        le => le.into(),
    }
}
