//! Parameters that OpenSSL asks for.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr;

use crate::abi::{OsslParam, data_type};
use crate::fault::Fault;

/// An array of parameters to be filled in. Each setter does nothing if the parameter was not
/// asked for; a parameter without a buffer is told the size it needs (OSSL_PARAM(3)).
pub struct ParamsOut<'a> {
    first: *mut OsslParam,
    lent: PhantomData<&'a mut OsslParam>,
}

impl ParamsOut<'_> {
    /// # Safety
    /// `first` must be null or a terminated array, writable with its data for the lifetime.
    pub unsafe fn new(first: *mut OsslParam) -> Self {
        Self {
            first,
            lent: PhantomData,
        }
    }

    /// Whether `name` was asked for; to avoid work for an answer that nobody wants.
    pub fn wants(&mut self, name: &CStr) -> bool {
        self.find(name).is_some()
    }

    /// Answers a small number, as an integer or in decimal.
    pub fn int(&mut self, name: &CStr, value: i32) -> Result<(), Fault> {
        self.answer(name, |param| match param.data_type {
            data_type::INTEGER => write_integer(param, &i64::from(value).to_ne_bytes()),
            data_type::UNSIGNED_INTEGER if value >= 0 => {
                write_integer(param, &i64::from(value).to_ne_bytes())
            }
            data_type::UTF8_STRING => write_text(param, value.to_string().as_bytes()),
            _ => Err("not a number parameter"),
        })
    }

    /// Answers a choice: its number or its name, whichever was asked for.
    pub fn int_or_name(
        &mut self,
        key: &CStr,
        value: i32,
        name: &'static CStr,
    ) -> Result<(), Fault> {
        let by_name = self.find(key).is_some_and(|param| {
            matches!(
                param.data_type,
                data_type::UTF8_STRING | data_type::UTF8_PTR
            )
        });
        if by_name {
            return self.utf8(key, name);
        }
        self.int(key, value)
    }

    /// Answers a big number given as big-endian bytes.
    pub fn big_number(&mut self, name: &CStr, big_endian: &[u8]) -> Result<(), Fault> {
        self.answer(name, |param| {
            if param.data_type != data_type::UNSIGNED_INTEGER {
                return Err("an unsigned integer expected");
            }
            let mut native = big_endian.to_vec();
            if cfg!(target_endian = "little") {
                native.reverse();
            }
            write_integer(param, &native)
        })
    }

    /// Answers bytes.
    pub fn octets(&mut self, name: &CStr, value: &[u8]) -> Result<(), Fault> {
        self.answer(name, |param| {
            if param.data_type != data_type::OCTET_STRING {
                return Err("an octet string expected");
            }
            write_bytes(param, value)
        })
    }

    /// Answers text, into a buffer or as a pointer to the static text itself.
    pub fn utf8(&mut self, name: &CStr, value: &'static CStr) -> Result<(), Fault> {
        self.answer(name, |param| match param.data_type {
            data_type::UTF8_STRING => write_text(param, value.to_bytes()),
            data_type::UTF8_PTR => {
                param.return_size = value.count_bytes();
                if !param.data.is_null() {
                    // SAFETY: the data of a UTF8_PTR is a `char *` to be set (OSSL_PARAM(3)).
                    unsafe {
                        param
                            .data
                            .cast::<*const c_void>()
                            .write_unaligned(value.as_ptr().cast())
                    };
                }
                Ok(())
            }
            _ => Err("text expected"),
        })
    }

    fn answer(
        &mut self,
        name: &CStr,
        write: impl FnOnce(&mut OsslParam) -> Result<(), &'static str>,
    ) -> Result<(), Fault> {
        let Some(param) = self.find(name) else {
            return Ok(());
        };
        write(param).map_err(|problem| Fault::Param {
            name: name.to_string_lossy().into_owned(),
            problem,
        })
    }

    fn find(&mut self, name: &CStr) -> Option<&mut OsslParam> {
        let mut next = self.first;
        loop {
            // SAFETY: the array is terminated by a null key (see `new`), which is never passed.
            let param = unsafe { next.as_mut() }.filter(|param| !param.key.is_null())?;
            // SAFETY: keys are C strings.
            if unsafe { CStr::from_ptr(param.key) } == name {
                return Some(param);
            }
            // SAFETY: `param` was not the terminator.
            next = unsafe { next.add(1) };
        }
    }
}

fn write_bytes(param: &mut OsslParam, value: &[u8]) -> Result<(), &'static str> {
    param.return_size = value.len();
    if param.data.is_null() {
        return Ok(());
    }
    if param.data_size < value.len() {
        return Err("the buffer is too small");
    }
    // SAFETY: the buffer has `data_size` bytes (OSSL_PARAM(3)), checked above.
    unsafe { ptr::copy_nonoverlapping(value.as_ptr(), param.data.cast(), value.len()) };
    Ok(())
}

/// Text, with a NUL where there is room: `return_size` does not count it (OSSL_PARAM(3)).
fn write_text(param: &mut OsslParam, value: &[u8]) -> Result<(), &'static str> {
    write_bytes(param, value)?;
    if !param.data.is_null() && param.data_size > value.len() {
        // SAFETY: one byte past the text is still inside the buffer.
        unsafe { param.data.cast::<u8>().add(value.len()).write(0) };
    }
    Ok(())
}

/// A non-negative or sign-extendable native integer into a buffer of another size.
fn write_integer(param: &mut OsslParam, native: &[u8]) -> Result<(), &'static str> {
    let little: Vec<u8> = if cfg!(target_endian = "little") {
        native.to_vec()
    } else {
        native.iter().rev().copied().collect()
    };
    let negative =
        param.data_type == data_type::INTEGER && little.last().is_some_and(|b| b >> 7 == 1);
    let fill = if negative { 0xff } else { 0 };
    let significant = little.iter().rposition(|b| *b != fill).map_or(0, |i| i + 1);
    // A positive INTEGER needs room for its sign bit.
    let sign_bit = param.data_type == data_type::INTEGER
        && significant > 0
        && (little[significant - 1] >> 7 == 1) != negative;
    let needed = (significant + usize::from(sign_bit)).max(1);
    if param.data.is_null() {
        param.return_size = needed;
        return Ok(());
    }
    if param.data_size < needed {
        param.return_size = needed;
        return Err("the buffer is too small");
    }
    let mut out = vec![fill; param.data_size];
    out[..significant].copy_from_slice(&little[..significant]);
    if cfg!(target_endian = "big") {
        out.reverse();
    }
    write_bytes(param, &out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for one parameter of `data_type` with a buffer of `size` bytes.
    fn ask(
        data_type: std::ffi::c_uint,
        size: Option<usize>,
        answer: impl FnOnce(&mut ParamsOut<'_>) -> Result<(), Fault>,
    ) -> (Result<(), Fault>, Vec<u8>, usize) {
        let mut buffer = vec![0xee; size.unwrap_or(0)];
        let data = match size {
            Some(_) => buffer.as_mut_ptr().cast(),
            None => ptr::null_mut(),
        };
        let param = |key: *const _, data_type, data, data_size| OsslParam {
            key,
            data_type,
            data,
            data_size,
            return_size: data_type::UNMODIFIED,
        };
        let mut params = [
            param(c"x".as_ptr(), data_type, data, buffer.len()),
            param(ptr::null(), 0, ptr::null_mut(), 0),
        ];
        // SAFETY: a terminated array with its buffers.
        let result = answer(&mut unsafe { ParamsOut::new(params.as_mut_ptr()) });
        (result, buffer, params[0].return_size)
    }

    #[test]
    fn numbers_fill_the_buffer_they_are_given() {
        for size in [1, 2, 4, 8] {
            let (result, buffer, _) = ask(data_type::INTEGER, Some(size), |p| p.int(c"x", -3));
            result.unwrap();
            let mut expected = (-3i64).to_le_bytes().to_vec();
            expected.truncate(size);
            assert_eq!(buffer, expected);
        }
        assert!(
            ask(data_type::INTEGER, Some(1), |p| p.int(c"x", 200))
                .0
                .is_err()
        );
        let (result, buffer, _) = ask(data_type::UNSIGNED_INTEGER, Some(1), |p| p.int(c"x", 200));
        result.unwrap();
        assert_eq!(buffer, [200]);
        assert!(
            ask(data_type::UNSIGNED_INTEGER, Some(4), |p| p.int(c"x", -1))
                .0
                .is_err()
        );
    }

    #[test]
    fn big_numbers_are_extended_and_never_cut() {
        let number = [0, 1, 2, 3];
        let big = |p: &mut ParamsOut<'_>| p.big_number(c"x", &number);
        let (_, buffer, _) = ask(data_type::UNSIGNED_INTEGER, Some(5), big);
        assert_eq!(buffer, [3, 2, 1, 0, 0]);
        let (result, _, needed) = ask(data_type::UNSIGNED_INTEGER, Some(2), big);
        assert!(result.is_err() && needed == 3);
        assert_eq!(ask(data_type::UNSIGNED_INTEGER, None, big).2, 3);
    }

    #[test]
    fn text_and_bytes_tell_their_size_and_never_overflow() {
        let text = |p: &mut ParamsOut<'_>| p.utf8(c"x", c"abc");
        assert_eq!(ask(data_type::UTF8_STRING, None, text).2, 3);
        let (_, buffer, size) = ask(data_type::UTF8_STRING, Some(5), text);
        assert_eq!((&buffer[..], size), (&b"abc\0\xee"[..], 3));
        assert!(ask(data_type::UTF8_STRING, Some(2), text).0.is_err());
        assert!(
            ask(data_type::OCTET_STRING, Some(2), |p| p.octets(c"x", b"abc"))
                .0
                .is_err()
        );
        assert!(ask(data_type::INTEGER, Some(8), text).0.is_err());
    }

    #[test]
    fn what_was_not_asked_for_is_left_alone() {
        let (result, buffer, _) = ask(data_type::INTEGER, Some(4), |p| p.int(c"y", 1));
        assert!(result.is_ok() && buffer == [0xee; 4]);
    }
}
