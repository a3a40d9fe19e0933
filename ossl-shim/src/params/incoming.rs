//! Parameters that OpenSSL passes in.

use std::ffi::{CStr, c_char, c_uint};
use std::marker::PhantomData;
use std::slice;

use crate::abi::{OsslParam, data_type};
use crate::fault::Fault;

/// A parameter that callers give either as a number or by name (`saltlen`, `pad-mode`).
#[derive(Debug, PartialEq, Eq)]
pub enum IntOrText<'a> {
    Int(i64),
    Text(&'a str),
}

/// An array of parameters, borrowed for one call.
pub struct ParamsIn<'a> {
    first: *const OsslParam,
    lent: PhantomData<&'a OsslParam>,
}

impl<'a> ParamsIn<'a> {
    /// # Safety
    /// `first` must be null or a terminated array, readable with its data for `'a`.
    pub unsafe fn new(first: *const OsslParam) -> Self {
        Self {
            first,
            lent: PhantomData,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Whether `name` is in it, with any value.
    pub fn has(&self, name: &CStr) -> bool {
        self.find(name).is_some()
    }

    /// A text, given as `UTF8_STRING` or `UTF8_PTR`.
    pub fn utf8(&self, name: &CStr) -> Result<Option<&'a str>, Fault> {
        self.find(name).map(|param| text(name, param)).transpose()
    }

    /// An integer of up to 8 bytes, signed or unsigned.
    pub fn int(&self, name: &CStr) -> Result<Option<i64>, Fault> {
        self.find(name)
            .map(|param| integer(name, param))
            .transpose()
    }

    /// Bytes, given as `OCTET_STRING`.
    pub fn octets(&self, name: &CStr) -> Result<Option<&'a [u8]>, Fault> {
        self.find(name)
            .map(|param| bytes(name, param, data_type::OCTET_STRING, "bytes expected"))
            .transpose()
    }

    /// An unsigned number of any size, big-endian and without leading zeros.
    pub fn big_number(&self, name: &CStr) -> Result<Option<Vec<u8>>, Fault> {
        const PROBLEM: &str = "an unsigned number expected";
        let Some(param) = self.find(name) else {
            return Ok(None);
        };
        let mut number = bytes(name, param, data_type::UNSIGNED_INTEGER, PROBLEM)?.to_vec();
        if cfg!(target_endian = "little") {
            number.reverse();
        }
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        number.drain(..zeros);
        Ok(Some(number))
    }

    /// A number or a name.
    pub fn int_or_text(&self, name: &CStr) -> Result<Option<IntOrText<'a>>, Fault> {
        let Some(param) = self.find(name) else {
            return Ok(None);
        };
        let value = match param.data_type {
            data_type::UTF8_STRING | data_type::UTF8_PTR => IntOrText::Text(text(name, param)?),
            _ => IntOrText::Int(integer(name, param)?),
        };
        Ok(Some(value))
    }

    fn find(&self, name: &CStr) -> Option<&'a OsslParam> {
        self.iter().find(|param| {
            // SAFETY: `iter` stops at the null key, and keys are C strings (see `new`).
            let key = unsafe { CStr::from_ptr(param.key) };
            key == name
        })
    }

    fn iter(&self) -> impl Iterator<Item = &'a OsslParam> + use<'a> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            // SAFETY: the array is terminated by a null key (see `new`), and `next` never passes
            // the terminator.
            let param = unsafe { next.as_ref() }.filter(|param| !param.key.is_null())?;
            // SAFETY: `param` was not the terminator, so another element follows.
            next = unsafe { next.add(1) };
            Some(param)
        })
    }
}

fn fault(name: &CStr, problem: &'static str) -> Fault {
    Fault::Param {
        name: name.to_string_lossy().into_owned(),
        problem,
    }
}

fn text<'a>(name: &CStr, param: &'a OsslParam) -> Result<&'a str, Fault> {
    let start: *const u8 = match param.data_type {
        data_type::UTF8_STRING => param.data.cast_const().cast(),
        data_type::UTF8_PTR if !param.data.is_null() => {
            // SAFETY: the data of a UTF8_PTR is a pointer to the text, OSSL_PARAM(3).
            unsafe { param.data.cast::<*const c_char>().read_unaligned().cast() }
        }
        _ => return Err(fault(name, "text expected")),
    };
    if start.is_null() {
        return Err(fault(name, "text expected, nothing given"));
    }
    // SAFETY: a UTF-8 parameter has `data_size` bytes without a terminating NUL (OSSL_PARAM(3)).
    let bytes = unsafe { slice::from_raw_parts(start, param.data_size) };
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    std::str::from_utf8(bytes).map_err(|_| fault(name, "not UTF-8"))
}

fn bytes<'a>(
    name: &CStr,
    param: &'a OsslParam,
    wanted: c_uint,
    problem: &'static str,
) -> Result<&'a [u8], Fault> {
    if param.data_type != wanted || param.data.is_null() {
        return Err(fault(name, problem));
    }
    // SAFETY: such a parameter has `data_size` bytes (OSSL_PARAM(3)), readable for `'a`.
    Ok(unsafe { slice::from_raw_parts(param.data.cast_const().cast(), param.data_size) })
}

fn integer(name: &CStr, param: &OsslParam) -> Result<i64, Fault> {
    let signed = match param.data_type {
        data_type::INTEGER => true,
        data_type::UNSIGNED_INTEGER => false,
        _ => return Err(fault(name, "a number expected")),
    };
    let native = bytes(name, param, param.data_type, "a number expected")?;
    let mut little = native.to_vec();
    if cfg!(target_endian = "big") {
        little.reverse();
    }
    let negative = signed && little.last().is_some_and(|top| top >> 7 == 1);
    let mut extended = [if negative { 0xff } else { 0 }; 8];
    match extended.get_mut(..little.len()) {
        Some(low) if !low.is_empty() => low.copy_from_slice(&little),
        _ => return Err(fault(name, "a number of 1 to 8 bytes expected")),
    }
    let number = i64::from_le_bytes(extended);
    match !signed && number < 0 {
        true => Err(fault(name, "the number is too large")),
        false => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::params::ParamList;

    fn read<T>(list: &ParamList, read: impl FnOnce(ParamsIn<'_>) -> T) -> T {
        // SAFETY: the list is a terminated array and outlives the call.
        read(unsafe { ParamsIn::new(list.as_ptr()) })
    }

    #[test]
    fn what_a_list_holds_is_read_back() {
        let list = ParamList::new()
            .int(c"number", -7)
            .utf8(c"text", c"abc")
            .octets(c"bytes", &[1])
            .big_number(c"big", &[0, 1, 2, 3]);
        read(&list, |params| {
            assert_eq!(params.int(c"number"), Ok(Some(-7)));
            assert_eq!(params.utf8(c"text"), Ok(Some("abc")));
            assert_eq!(
                params.int_or_text(c"text"),
                Ok(Some(IntOrText::Text("abc")))
            );
            assert_eq!(params.int_or_text(c"number"), Ok(Some(IntOrText::Int(-7))));
            assert_eq!(params.octets(c"bytes"), Ok(Some(&[1][..])));
            assert_eq!(params.big_number(c"big"), Ok(Some(vec![1, 2, 3])));
            assert_eq!(params.utf8(c"missing"), Ok(None));
            assert!(params.int(c"text").is_err() && params.utf8(c"number").is_err());
            assert!(params.utf8(c"bytes").is_err());
        });
    }

    #[test]
    fn null_arrays_null_data_and_odd_sizes_are_no_danger() {
        // SAFETY: null is allowed.
        assert!(unsafe { ParamsIn::new(ptr::null()) }.is_empty());
        let param = |key: *const c_char, data_type, data_size| OsslParam {
            key,
            data_type,
            data: ptr::null_mut(),
            data_size,
            return_size: 0,
        };
        for kind in 1..=7 {
            let params = [param(c"x".as_ptr(), kind, 8), param(ptr::null(), 0, 0)];
            // SAFETY: a terminated array; null data is what is tested.
            let params = unsafe { ParamsIn::new(params.as_ptr()) };
            assert!(params.int(c"x").is_err() && params.utf8(c"x").is_err());
            assert!(params.octets(c"x").is_err() && params.big_number(c"x").is_err());
        }
        for number in [&[][..], &[1; 9], &[0xff; 8]] {
            let list = ParamList::new().big_number(c"x", number);
            assert!(read(&list, |params| params.int(c"x")).is_err());
        }
        // openssl's -pkeyopt passes no more bytes than the number has.
        let list = ParamList::new().big_number(c"x", &[0x81, 2, 3]);
        assert_eq!(read(&list, |params| params.int(c"x")), Ok(Some(0x81_0203)));
        let list = ParamList::new().utf8(c"x", c"\xff\xfe");
        assert!(read(&list, |params| params.utf8(c"x").map(drop)).is_err());
    }
}
