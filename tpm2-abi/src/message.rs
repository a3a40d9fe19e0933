//! What the two sides say to each other.
//!
//! Each [`Task`] is one operation from start to end: a key is loaded, used and flushed in one call, so
//! that nothing stays in the few slots of the TPM, and the whole can be tried again after a loss.
//! Algorithms, curves, handles and attributes are the TCG's numbers (TPM 2.0 Library, part 2).

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What `hwkey.so` asks for.
#[derive(Serialize, Deserialize)]
pub struct Request {
    /// How the TPM is reached: `NAME:CONF` of tss2-tctildr.
    pub tcti: String,
    pub task: Task,
}

/// What the part answers.
pub type Reply = Result<Outcome, Failure>;

#[derive(Serialize, Deserialize)]
pub enum Task {
    /// Which TPM it is. Answer: [`Outcome::Described`].
    Describe,
    /// The state of the dictionary attack protection. Answer: [`Outcome::Lockout`].
    Lockout,
    /// The public area of an object that can be used; loads it. Answer: [`Outcome::Inspected`].
    Inspect { object: Object },
    /// Whether the object's authorisation value is right (TPM2_PolicySecret, which changes nothing).
    /// Answer: [`Outcome::Done`].
    Authorise { object: Object },
    /// Answer: [`Outcome::Bytes`], r ‖ s (each of the order's size) or an RSA signature of the modulus'
    /// size.
    Sign {
        object: Object,
        scheme: SignScheme,
        input: Input,
    },
    /// Answer: [`Outcome::Verified`]. The signature has the form of [`Task::Sign`]'s answer.
    Verify {
        object: Object,
        scheme: SignScheme,
        digest: Vec<u8>,
        signature: Vec<u8>,
    },
    /// TPM2_RSA_Decrypt. Answer: [`Outcome::Secret`]; with [`DecryptScheme::Raw`] of the modulus' size.
    Decrypt {
        object: Object,
        scheme: DecryptScheme,
        /// Of the modulus' size.
        input: Vec<u8>,
    },
    /// TPM2_ECDH_ZGen with a point of the key's curve. Answer: [`Outcome::Secret`], the x coordinate, of
    /// the field's size.
    Derive {
        object: Object,
        x: Vec<u8>,
        y: Vec<u8>,
    },
    /// A new key under `parent`, which no one keeps but who gets the answer: [`Outcome::Created`].
    Create {
        parent: Parent,
        /// As in [`Object::parent_auth`].
        parent_auth: Secret,
        template: Template,
        /// Authorisation value of the new key.
        auth: Secret,
    },
    /// The content of an NV index. Without an authorisation value it is read only as far as that can't cost
    /// a try that counts. Answer: [`Outcome::Bytes`].
    ReadNv { index: u32, auth: Option<Secret> },
    /// Persistent objects, and NV indices that hold a certificate. Answer: [`Outcome::Listing`].
    List,
    /// TPM2_GetRandom. Answer: [`Outcome::Secret`] of exactly this many bytes.
    Random { bytes: u32 },
}

/// An object of the TPM and what it takes to use it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Object {
    pub source: Source,
    /// The Name that it must have, if that is known: another object in its place is not used.
    pub name: Option<Vec<u8>>,
    /// Its authorisation value; empty if it has none.
    pub auth: Secret,
    /// That of the parent it is loaded under; for a primary key that of its hierarchy.
    pub parent_auth: Secret,
}

/// Where an object is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// In the TPM's own memory: a handle 0x81……….
    Persistent(u32),
    /// Wrapped by its parent, as in a TSS2 PRIVATE KEY file.
    Wrapped {
        parent: Parent,
        /// TPM2B_PUBLIC, with its size.
        public: Vec<u8>,
        /// TPM2B_PRIVATE, with its size.
        private: Vec<u8>,
        /// TPM2B_ENCRYPTED_SECRET, with its size, of a key that has to be imported first (OID
        /// 2.23.133.10.1.4).
        secret: Option<Vec<u8>>,
        /// What has to be shown to the TPM before the key may be used, in this order.
        policy: Vec<PolicyCommand>,
    },
    /// A saved context, as tpm2-tools write it.
    Saved(Saved),
}

/// The parent that a key is loaded or made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Parent {
    /// A persistent storage key.
    Persistent(u32),
    /// The primary key of a hierarchy, made anew from the template that all tools share.
    Primary {
        hierarchy: Hierarchy,
        /// RSA-2048 instead of ECC P-256.
        rsa: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hierarchy {
    Owner,
    Endorsement,
    Platform,
    Null,
}

/// One command of a policy, as TSS2 PRIVATE KEY files carry it: the command's code (TPM_CC) and its
/// parameters, marshalled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyCommand {
    pub code: u32,
    pub parameters: Vec<u8>,
}

/// TPMS_CONTEXT.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    pub sequence: u64,
    pub handle: u32,
    pub hierarchy: u32,
    pub blob: Vec<u8>,
}

/// How to sign; hashes are TPM_ALG_ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignScheme {
    RsaSsa {
        hash: u16,
    },
    /// The length of the salt is the TPM's choice.
    RsaPss {
        hash: u16,
    },
    Ecdsa {
        hash: u16,
    },
}

/// What to sign.
#[derive(Serialize, Deserialize)]
pub enum Input {
    /// The digest's value, of the hash's size.
    Digest(Vec<u8>),
    /// The whole message: it is hashed in the TPM, whose ticket lets a restricted key sign it.
    Message(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecryptScheme {
    /// The bare RSA operation.
    Raw,
    /// RSAES-PKCS1-v1_5. What is wrong with the padding shows: only for keys that do nothing else.
    RsaEs,
    Oaep {
        hash: u16,
        /// Without the NUL byte that the TPM wants at its end.
        label: Vec<u8>,
    },
}

/// The kind of a new key. It may sign and decrypt (or derive), and stays under its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Template {
    Rsa {
        bits: u16,
        /// 0 stands for 65537.
        exponent: u32,
    },
    /// TPM_ECC_CURVE.
    Ecc { curve: u16 },
}

#[derive(Serialize, Deserialize)]
pub enum Outcome {
    Done,
    Described(Description),
    Lockout(Lockout),
    Inspected { area: Area, tpm: Description },
    Bytes(Vec<u8>),
    Secret(Secret),
    Verified(bool),
    Created(Created),
    Listing(Vec<Listed>),
}

/// Which TPM it is, TPM_PT_MANUFACTURER and its like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Such as `IBM`, `IFX`, `STM`.
    pub manufacturer: String,
    /// The vendor's name of the model, such as `SW TPM`.
    pub vendor: String,
    /// The hashes it has, TPM_ALG_ID.
    pub hashes: Vec<u16>,
}

/// A public area, TPMT_PUBLIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Area {
    /// The object's Name: the hash of its public area, with the hash's TPM_ALG_ID before it.
    pub name: Vec<u8>,
    /// TPMA_OBJECT.
    pub attributes: u32,
    pub key: PublicKey,
    /// The scheme that the key is bound to, if it is.
    pub scheme: Option<KeyScheme>,
    /// Whether it has an authorisation policy.
    pub has_policy: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublicKey {
    Rsa {
        modulus: Vec<u8>,
        /// Never 0.
        exponent: u32,
    },
    Ecc {
        /// TPM_ECC_CURVE.
        curve: u16,
        /// Of the field's size.
        x: Vec<u8>,
        y: Vec<u8>,
    },
    /// Another type, TPM_ALG_ID.
    Other(u16),
}

/// TPM_ALG_IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyScheme {
    pub algorithm: u16,
    pub hash: Option<u16>,
}

#[derive(Serialize, Deserialize)]
pub struct Created {
    /// TPM2B_PUBLIC, with its size.
    pub public: Vec<u8>,
    /// TPM2B_PRIVATE, with its size.
    pub private: Vec<u8>,
    pub area: Area,
    pub tpm: Description,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listed {
    Key { handle: u32, area: Area },
    Certificate { index: u32, der: Vec<u8> },
}

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The function or command: `TPM2_Load`, `Tss2_TctiLdr_Initialize`.
    pub function: String,
    pub cause: Cause,
    /// The state of the dictionary attack protection, where an authorisation was refused.
    pub lockout: Option<Lockout>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// TSS2_RC: a response code of the TPM (TPM_RC) or of a layer above it.
    Code(u32),
    /// In words.
    Told(String),
    /// The object has another Name than [`Object::name`].
    Replaced,
    /// Others did not let go of it within so many milliseconds.
    Busy { waited: u32 },
}

/// TPM_PT_LOCKOUT_COUNTER, TPM_PT_MAX_AUTH_FAIL, TPM_PT_LOCKOUT_INTERVAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lockout {
    /// Failed tries that count.
    pub failed: u32,
    /// How many lock the TPM.
    pub most: u32,
    /// Seconds after which one of them is forgotten.
    pub interval: u32,
}

/// Bytes that are cleared when they are dropped, and can't be printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub fn copied(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }

    pub fn into_inner(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl std::ops::Deref for Secret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // In one piece: growing would leave copies behind.
        <&[u8]>::deserialize(from).map(Self::copied)
    }
}
