//! What OpenSSL asks of the provider, one file per operation.

pub mod asym_cipher_rsa;
pub mod decoder_pem;
pub mod decoder_reference;
pub mod encoder_private;
pub mod encoder_text;
pub mod exchange_ecdh;
pub mod keymgmt;
pub mod keymgmt_ec;
pub mod keymgmt_edwards;
pub mod keymgmt_rsa;
pub mod message;
pub mod new_key;
pub mod peer;
pub mod rand;
pub mod signature;
pub mod signature_ecdsa;
pub mod signature_eddsa;
pub mod signature_rsa;
pub mod store;
#[cfg(test)]
mod test_key;
