//! TPM2B structures and their bytes.

use tss_esapi::tss2_esys::{
    TPM2B_DATA, TPM2B_DIGEST, TPM2B_ECC_PARAMETER, TPM2B_ENCRYPTED_SECRET, TPM2B_MAX_BUFFER,
    TPM2B_PRIVATE, TPM2B_PUBLIC, TPM2B_PUBLIC_KEY_RSA, Tss2_MU_TPM2B_PUBLIC_Marshal,
    Tss2_MU_TPM2B_PUBLIC_Unmarshal,
};

use super::{Result, check, told};

/// A TPM2B from bytes, and its bytes. Neither side believes a size that is larger than the buffer.
pub trait Buffer: Default {
    fn parts(&self) -> (u16, &[u8]);
    fn parts_mut(&mut self) -> (&mut u16, &mut [u8]);

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut buffer = Self::default();
        let (size, place) = buffer.parts_mut();
        let place = place.get_mut(..bytes.len());
        let place = place.ok_or_else(|| told("hwkey-tpm2", too_long(bytes.len())))?;
        place.copy_from_slice(bytes);
        *size = bytes.len() as u16;
        Ok(buffer)
    }

    fn bytes(&self) -> &[u8] {
        let (size, bytes) = self.parts();
        &bytes[..bytes.len().min(size.into())]
    }

    fn clear(&mut self) {
        zeroize::Zeroize::zeroize(self.parts_mut().1);
    }
}

fn too_long(length: usize) -> String {
    format!(
        "{length} bytes are more than the TPM takes here (of an authorisation value: as many as the hash of \
         the key's Name, 32 with SHA-256)"
    )
}

macro_rules! buffers {
    ($($name:ident.$field:ident)*) => {$(
        impl Buffer for $name {
            fn parts(&self) -> (u16, &[u8]) {
                (self.size, &self.$field)
            }

            fn parts_mut(&mut self) -> (&mut u16, &mut [u8]) {
                (&mut self.size, &mut self.$field)
            }
        }
    )*};
}

buffers! {
    TPM2B_DATA.buffer
    TPM2B_DIGEST.buffer
    TPM2B_ECC_PARAMETER.buffer
    TPM2B_ENCRYPTED_SECRET.secret
    TPM2B_MAX_BUFFER.buffer
    TPM2B_PRIVATE.buffer
    TPM2B_PUBLIC_KEY_RSA.buffer
}

pub fn digest(bytes: &[u8]) -> Result<TPM2B_DIGEST> {
    TPM2B_DIGEST::from_bytes(bytes)
}

pub fn parameter(bytes: &[u8]) -> Result<TPM2B_ECC_PARAMETER> {
    TPM2B_ECC_PARAMETER::from_bytes(bytes)
}

/// TPM2B_PRIVATE with its size.
pub fn read_private(bytes: &[u8]) -> Result<TPM2B_PRIVATE> {
    sized("TPM2B_PRIVATE", bytes)
}

/// TPM2B_ENCRYPTED_SECRET with its size.
pub fn read_seed(bytes: &[u8]) -> Result<TPM2B_ENCRYPTED_SECRET> {
    sized("TPM2B_ENCRYPTED_SECRET", bytes)
}

fn sized<B: Buffer>(name: &str, bytes: &[u8]) -> Result<B> {
    let (size, rest) = bytes.split_first_chunk().unwrap_or((&[0; 2], &[]));
    match usize::from(u16::from_be_bytes(*size)) == rest.len() && !rest.is_empty() {
        true => B::from_bytes(rest),
        false => Err(told("hwkey-tpm2", format!("this is no {name}"))),
    }
}

pub fn private_bytes(private: &TPM2B_PRIVATE) -> Vec<u8> {
    let bytes = private.bytes();
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// TPM2B_PUBLIC with its size.
pub fn read_public(bytes: &[u8]) -> Result<TPM2B_PUBLIC> {
    let mut public = TPM2B_PUBLIC::default();
    let mut read = 0;
    // SAFETY: the buffer has the given size; the function fills in the structure.
    let code = unsafe {
        Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes.as_ptr(), bytes.len() as _, &mut read, &mut public)
    };
    check("Tss2_MU_TPM2B_PUBLIC_Unmarshal", code)?;
    match usize::try_from(read) == Ok(bytes.len()) {
        true => Ok(public),
        false => Err(told("hwkey-tpm2", "there is more than a TPM2B_PUBLIC")),
    }
}

pub fn public_bytes(public: &TPM2B_PUBLIC) -> Result<Vec<u8>> {
    let mut bytes = vec![0; size_of::<TPM2B_PUBLIC>()];
    let mut written = 0;
    // SAFETY: the buffer has the given size, and the structure is read only.
    let code = unsafe {
        Tss2_MU_TPM2B_PUBLIC_Marshal(public, bytes.as_mut_ptr(), bytes.len() as _, &mut written)
    };
    check("Tss2_MU_TPM2B_PUBLIC_Marshal", code)?;
    bytes.truncate(written as usize);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_is_too_long_or_cut_short_is_refused() {
        assert!(digest(&[0; 64]).is_ok());
        assert!(digest(&[0; 65]).is_err());
        assert!(read_private(&[0, 2, 1]).is_err());
        assert!(read_private(&[0]).is_err());
        assert!(read_private(&[0, 1, 1, 1]).is_err());
        let private = read_private(&[0, 2, 1, 2]).unwrap();
        assert_eq!(private_bytes(&private), [0, 2, 1, 2]);
        assert!(read_public(&[]).is_err());
        assert!(read_public(&[0, 4, 0, 1]).is_err());
    }

    #[test]
    fn a_size_that_is_not_true_is_not_believed() {
        let digest = TPM2B_DIGEST {
            size: u16::MAX,
            buffer: [7; 64],
        };
        assert_eq!(digest.bytes(), [7; 64]);
    }
}
