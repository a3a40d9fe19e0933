//! Slots and tokens, PKCS#11 v3.1 §5.5.

use std::ptr;

use cryptoki::context::Function;
use cryptoki::error::{Error, Result, Rv, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::slot::{SlotInfo, TokenInfo};
use cryptoki_sys::{
    CK_BBOOL, CK_FALSE, CK_MECHANISM_TYPE, CK_RV, CK_SLOT_ID, CK_SLOT_INFO, CK_TOKEN_INFO, CK_TRUE,
    CK_ULONG, CKF_CLOCK_ON_TOKEN, CKM_RSA_PKCS_PSS, CKM_SHA1_RSA_PKCS_PSS,
    CKM_SHA3_224_RSA_PKCS_PSS, CKM_SHA3_256_RSA_PKCS_PSS, CKM_SHA3_384_RSA_PKCS_PSS,
    CKM_SHA3_512_RSA_PKCS_PSS, CKM_SHA224_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS_PSS,
    CKM_SHA384_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS,
};

use crate::module::{Module, function, rv};

/// No module has more slots or mechanisms; one that says so is not believed.
const LIMIT: usize = 100_000;

/// Lists grow while they are read (a card is put in); after this many times it is the module.
const TRIES: usize = 8;

/// A slot's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId(pub(crate) CK_SLOT_ID);

impl SlotId {
    #[allow(clippy::useless_conversion)] // CK_SLOT_ID has 32 bits on some targets.
    pub fn number(self) -> u64 {
        self.0.into()
    }
}

/// A set of mechanisms, those that no standard knows included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mechanisms(pub(crate) Vec<CK_MECHANISM_TYPE>);

impl Mechanisms {
    pub fn has(&self, wanted: MechanismType) -> bool {
        self.0.contains(&CK_MECHANISM_TYPE::from(wanted))
    }

    /// Their names in the standard (`CKM_ECDSA`), or their numbers.
    pub fn names(&self) -> Vec<String> {
        let name = |number: &CK_MECHANISM_TYPE| match MechanismType::try_from(*number) {
            Ok(known) => known.to_string(),
            Err(_) => format!("0x{number:08x}"),
        };
        self.0.iter().map(name).collect()
    }

    /// Whether there is nothing in it but RSA-PSS.
    pub fn are_rsa_pss(&self) -> bool {
        self.0.iter().all(|mechanism| RSA_PSS.contains(mechanism))
    }
}

const RSA_PSS: &[CK_MECHANISM_TYPE] = &[
    CKM_RSA_PKCS_PSS,
    CKM_SHA1_RSA_PKCS_PSS,
    CKM_SHA224_RSA_PKCS_PSS,
    CKM_SHA256_RSA_PKCS_PSS,
    CKM_SHA384_RSA_PKCS_PSS,
    CKM_SHA512_RSA_PKCS_PSS,
    CKM_SHA3_224_RSA_PKCS_PSS,
    CKM_SHA3_256_RSA_PKCS_PSS,
    CKM_SHA3_384_RSA_PKCS_PSS,
    CKM_SHA3_512_RSA_PKCS_PSS,
];

impl Module {
    /// The slots with a token in them.
    pub fn slots_with_token(&self) -> Result<Vec<SlotId>> {
        self.slots_where(CK_TRUE)
    }

    /// All slots.
    pub fn slots(&self) -> Result<Vec<SlotId>> {
        self.slots_where(CK_FALSE)
    }

    fn slots_where(&self, token_present: CK_BBOOL) -> Result<Vec<SlotId>> {
        let c_get_slot_list = function!(self, C_GetSlotList);
        let slots = list(Function::GetSlotList, |slots, count| {
            // SAFETY: `slots` is null or has room for `count` numbers.
            unsafe { c_get_slot_list(token_present, slots, count) }
        })?;
        Ok(slots.into_iter().map(SlotId).collect())
    }

    pub fn slot_info(&self, slot: SlotId) -> Result<SlotInfo> {
        let mut info = CK_SLOT_INFO::default();
        let c_get_slot_info = function!(self, C_GetSlotInfo);
        // SAFETY: the structure is written to during the call only.
        let code = unsafe { c_get_slot_info(slot.0, &mut info) };
        rv(code, Function::GetSlotInfo)?;
        Ok(info.into())
    }

    pub fn token_info(&self, slot: SlotId) -> Result<TokenInfo> {
        let mut info = CK_TOKEN_INFO::default();
        let c_get_token_info = function!(self, C_GetTokenInfo);
        // SAFETY: as above.
        let code = unsafe { c_get_token_info(slot.0, &mut info) };
        rv(code, Function::GetTokenInfo)?;
        // Nobody here asks for the time, and a token whose clock is garbage is still a token.
        info.flags &= !CKF_CLOCK_ON_TOKEN;
        TokenInfo::try_from(info)
    }

    /// The mechanisms of the token in `slot`.
    pub fn mechanisms(&self, slot: SlotId) -> Result<Mechanisms> {
        let c_get_mechanism_list = function!(self, C_GetMechanismList);
        let known = list(Function::GetMechanismList, |mechanisms, count| {
            // SAFETY: `mechanisms` is null or has room for `count` numbers.
            unsafe { c_get_mechanism_list(slot.0, mechanisms, count) }
        })?;
        Ok(Mechanisms(known))
    }
}

/// Reads a list of numbers by a function that tells their count when it is given no room.
fn list(
    function: Function,
    call: impl Fn(*mut CK_ULONG, *mut CK_ULONG) -> CK_RV,
) -> Result<Vec<CK_ULONG>> {
    for _ in 0..TRIES {
        let mut count: CK_ULONG = 0;
        rv(call(ptr::null_mut(), &mut count), function)?;
        let room = usize::try_from(count)?;
        if room > LIMIT {
            return Err(Error::InvalidValue);
        }
        let mut numbers = vec![0; room];
        match Rv::from(call(numbers.as_mut_ptr(), &mut count)) {
            Rv::Error(RvError::BufferTooSmall) => continue,
            Rv::Error(error) => return Err(Error::Pkcs11(error, function)),
            Rv::Ok => {}
        }
        numbers.truncate(usize::try_from(count)?);
        return Ok(numbers);
    }
    Err(Error::Pkcs11(RvError::BufferTooSmall, function))
}
