//! What a real card does around its application: commands and answers in pieces, a serial number,
//! and a reset.

use heapless::Vec as Buffer;
use iso7816::Status;
use iso7816::command::CommandView;
use piv_authenticator::constants::PIV_AID;
use vpicc::VSmartCard;

use crate::apdu::Apdu;
use crate::applet::Applet;
use crate::hand::Hand;

const SELECT: u8 = 0xa4;
const GET_RESPONSE: u8 = 0xc0;
/// A signature, unless it is with the management key.
const GENERAL_AUTHENTICATE: u8 = 0x87;
const MANAGEMENT_KEY: u8 = 0x9b;
/// Of YubiKeys.
const GET_SERIAL: u8 = 0xf8;

/// VERIFY that forgets the PIN (NIST SP 800-73-4 part 2, §3.2.1).
const FORGET_PIN: [u8; 4] = [0x00, 0x20, 0xff, 0x80];

/// The part of the application's name that all PIV cards have, by which some clients select it.
const SHORT_AID: usize = 5;

pub struct Card<'a> {
    applet: Applet<'a>,
    serial: u32,
    hand: &'a Hand,
    /// The data of the commands before this one in their chain.
    begun: Vec<u8>,
    /// What is left of the last answer.
    rest: Vec<u8>,
}

impl<'a> Card<'a> {
    pub fn new(applet: Applet<'a>, serial: u32, hand: &'a Hand) -> Self {
        Self {
            applet,
            serial,
            hand,
            begun: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// The answer without its status, or a status alone.
    fn respond(&mut self, apdu: &Apdu) -> Result<Vec<u8>, Status> {
        if apdu.instruction == GET_SERIAL {
            return Ok(self.serial.to_be_bytes().to_vec());
        }
        let signs =
            apdu.instruction == GENERAL_AUTHENTICATE && apdu.parameters[1] != MANAGEMENT_KEY;
        if signs && !self.hand.allows() {
            return Err(Status::SecurityStatusNotSatisfied);
        }
        let command = apdu.to_bytes();
        let command = CommandView::try_from(&command[..]);
        let command = command.map_err(|_| Status::ClassNotSupported)?;
        let mut answer = Buffer::<u8, 8192>::new();
        self.applet.respond(command, &mut answer)?;
        Ok(answer.to_vec())
    }

    /// As much of the answer as may be sent, and whether there is more.
    fn send(&mut self, expected: usize) -> Vec<u8> {
        let kept = self.rest.split_off(self.rest.len().min(expected));
        let mut sent = std::mem::replace(&mut self.rest, kept);
        match self.rest.len() {
            0 => sent.extend([0x90, 0x00]),
            // 00: 256 or more.
            more => sent.extend([0x61, u8::try_from(more).unwrap_or(0)]),
        }
        sent
    }

    fn forget(&mut self) {
        self.begun.clear();
        self.rest.clear();
        let command = CommandView::try_from(&FORGET_PIN[..]).expect("a command");
        let mut answer = Buffer::<u8, 2>::new();
        let forgotten = self.applet.respond(command, &mut answer);
        forgotten.expect("the application forgets the PIN");
    }
}

impl VSmartCard for Card<'_> {
    fn power_off(&mut self) {
        self.forget();
    }

    fn reset(&mut self) {
        self.forget();
    }

    fn execute(&mut self, command: &[u8]) -> Vec<u8> {
        let Some(mut apdu) = Apdu::parse(command) else {
            return status(Status::WrongLength);
        };
        if apdu.instruction == GET_RESPONSE {
            return self.send(apdu.expected);
        }
        self.rest.clear();
        self.begun.append(&mut apdu.data);
        if apdu.is_chained() {
            return status(Status::Success);
        }
        apdu.data = std::mem::take(&mut self.begun);
        let aid = PIV_AID.as_bytes();
        if apdu.instruction == SELECT && apdu.data == aid[..SHORT_AID] {
            // The application knows its name without version only.
            apdu.data = PIV_AID.truncated().to_vec();
        }
        match self.respond(&apdu) {
            Err(refused) => status(refused),
            Ok(answer) => {
                self.rest = answer;
                self.send(apdu.expected)
            }
        }
    }
}

fn status(status: Status) -> Vec<u8> {
    u16::from(status).to_be_bytes().to_vec()
}
