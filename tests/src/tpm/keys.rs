//! Keys and certificates that tpm2-tools and tpm2-openssl make in the TPM.

use std::fs;
use std::path::Path;

use super::Tpm;

/// What a TPM's keys are. (swtpm has no RSA of 4096 bits.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    P256,
    P384,
    P521,
    Rsa1024,
    Rsa2048,
    Rsa3072,
}

/// A key that is to be made: one that signs and decrypts whatever it is given, unless it says otherwise.
#[derive(Clone, Copy)]
pub struct TpmKey<'a> {
    algorithm: Algorithm,
    scheme: &'a str,
    uses: &'a str,
    counts_tries: bool,
    auth: Option<&'a str>,
}

/// What a key in a file belongs to.
#[derive(Clone, Copy)]
pub enum Parent<'a> {
    /// The primary key of this hierarchy ("o", "e", "p", "n"), made anew for each use. Only "o" gets into
    /// a file: tpm2_encodeobject writes the owner whatever it is told.
    Hierarchy(&'a str),
    /// A persistent key, see [`Tpm::persist_parent`].
    Handle(&'a str),
}

impl Algorithm {
    pub const ALL: [Self; 6] = [
        Self::P256,
        Self::P384,
        Self::P521,
        Self::Rsa1024,
        Self::Rsa2048,
        Self::Rsa3072,
    ];

    pub fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa1024 | Self::Rsa2048 | Self::Rsa3072)
    }

    /// The length of what RSA makes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Rsa1024 => 128,
            Self::Rsa2048 => 256,
            Self::Rsa3072 => 384,
            Self::P256 | Self::P384 | Self::P521 => panic!("{self:?} is no RSA key"),
        }
    }

    /// Its name with tpm2-tools.
    fn name(self) -> &'static str {
        match self {
            Self::P256 => "ecc256",
            Self::P384 => "ecc384",
            Self::P521 => "ecc521",
            Self::Rsa1024 => "rsa1024",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
        }
    }

    /// As arguments of `openssl genpkey`.
    pub fn options(self) -> &'static str {
        match self {
            Self::P256 => "-algorithm EC -pkeyopt group:P-256",
            Self::P384 => "-algorithm EC -pkeyopt group:P-384",
            Self::P521 => "-algorithm EC -pkeyopt group:P-521",
            Self::Rsa1024 => "-algorithm RSA -pkeyopt bits:1024",
            Self::Rsa2048 => "-algorithm RSA -pkeyopt bits:2048",
            Self::Rsa3072 => "-algorithm RSA -pkeyopt bits:3072",
        }
    }
}

impl<'a> TpmKey<'a> {
    pub fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            scheme: "null",
            uses: "sign|decrypt",
            counts_tries: true,
            auth: None,
        }
    }

    #[must_use]
    pub fn auth(mut self, auth: &'a str) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Wrong authorisations don't lock the TPM (noDA).
    #[must_use]
    pub fn counting_no_tries(mut self) -> Self {
        self.counts_tries = false;
        self
    }

    #[must_use]
    pub fn only_signing(mut self) -> Self {
        self.uses = "sign";
        self
    }

    /// Of EC keys: only agreeing on a secret.
    #[must_use]
    pub fn only_decrypting(mut self) -> Self {
        self.uses = "decrypt";
        self
    }

    /// By this scheme alone, such as "ecdsa-sha256", "rsassa-sha256", "rsapss-sha256", "oaep-sha256".
    #[must_use]
    pub fn scheme(mut self, scheme: &'a str) -> Self {
        self.scheme = scheme;
        self
    }

    /// Signing by this scheme only what the TPM has hashed itself.
    #[must_use]
    pub fn restricted(mut self, scheme: &'a str) -> Self {
        self.uses = "sign|restricted";
        self.scheme(scheme)
    }

    /// As options of tpm2_createprimary and tpm2_create.
    fn options(&self) -> Vec<String> {
        let Self { uses, scheme, .. } = self;
        let tries = if self.counts_tries { "" } else { "|noda" };
        let template = format!("{}:{scheme}:null", self.algorithm.name());
        let attributes = format!("{MADE_HERE}|{uses}{tries}");
        let mut options = vec!["-G".into(), template, "-a".into(), attributes];
        if let Some(auth) = self.auth {
            options.extend(["-p".into(), auth.into()]);
        }
        options
    }
}

/// Made in this TPM, never to leave it, used with its authorisation value.
const MADE_HERE: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth";

impl Tpm {
    /// Makes a key with a handle of its own, such as "0x81000010". Its public key is in `<handle>.pub`.
    pub fn persist(&self, handle: &str, key: TpmKey) {
        self.tpm2("createprimary -C o -c made.ctx", &[])
            .args(key.options())
            .ok();
        self.keep("made.ctx", handle);
        let public = format!("{handle}.pub");
        self.tpm2("readpublic -c {} -f pem -o {}", &[handle, &public])
            .ok();
    }

    /// Makes a key below a parent of its own, with a handle: its authorisation value can be changed.
    pub fn persist_child(&self, handle: &str, key: TpmKey) {
        let parent = self.make_primary("o", "");
        self.tpm2("create -C {} -u {}.u -r {}.r", &[&parent, handle, handle])
            .args(key.options())
            .ok();
        self.flush();
        self.load_as(handle);
    }

    /// Changes the authorisation value of such a key. It stays the same key, at the same place.
    pub fn change_auth(&self, handle: &str, from: &str, to: &str) {
        let parent = self.make_primary("o", "");
        self.tpm2(
            "changeauth -C {} -c {} -p {} -r {}.r {}",
            &[&parent, handle, from, handle, to],
        )
        .ok();
        self.flush();
        self.evict(handle);
        self.load_as(handle);
    }

    fn load_as(&self, handle: &str) {
        self.tpm2(
            "load -C primary.ctx -u {}.u -r {}.r -c made.ctx",
            &[handle, handle],
        )
        .ok();
        self.keep("made.ctx", handle);
    }

    /// Makes a persistent key that other keys can belong to, perhaps with an authorisation value.
    pub fn persist_parent(&self, handle: &str, auth: &str) {
        let primary = self.make_primary("o", auth);
        self.keep(&primary, handle);
    }

    /// Takes a persistent key from the TPM.
    pub fn evict(&self, handle: &str) {
        self.tpm2("evictcontrol -C o -c {}", &[handle]).ok();
    }

    /// The object of a context file gets a handle.
    fn keep(&self, context: &str, handle: &str) {
        self.tpm2("evictcontrol -C o -c {} {}", &[context, handle])
            .ok();
        self.flush();
    }

    /// A TSS2 PRIVATE KEY written by tpm2-openssl, in `file`.
    pub fn openssl_key_file(&self, file: &str, algorithm: Algorithm, auth: Option<&str>) {
        let arguments = format!("{} -out {{}}", algorithm.options());
        let make = self.openssl("genpkey", &arguments, &[file]);
        match auth {
            Some(auth) => make.args(["-pkeyopt", &format!("user-auth:{auth}")]),
            None => make,
        }
        .ok();
    }

    /// One written by tpm2_encodeobject. Whether the key needs authorisation is told in the file as the
    /// specification has it: the tool's option for that means the opposite of what its manual says.
    pub fn tools_key_file(&self, file: &str, parent: Parent, key: TpmKey) {
        self.encode(file, parent, key, key.auth.is_none());
    }

    /// One as it gets when the manual is followed: it says the wrong thing about the authorisation.
    pub fn misleading_key_file(&self, file: &str, parent: Parent, key: TpmKey) {
        self.encode(file, parent, key, key.auth.is_some());
    }

    fn encode(&self, file: &str, parent: Parent, key: TpmKey, option: bool) {
        let parent = self.make(parent, key, &["-u", "made.pub", "-r", "made.priv"]);
        let options: &[_] = if option { &["--key-auth"] } else { &[] };
        self.tpm2(
            "encodeobject -C {} -u made.pub -r made.priv -o {}",
            &[&parent, file],
        )
        .args(options)
        .ok();
        self.flush();
    }

    /// A key in a context file of tpm2-tools, as long as the TPM is not restarted.
    pub fn context_file(&self, file: &str, parent: Parent, key: TpmKey) {
        self.make(parent, key, &["-c", file]);
    }

    /// Makes a key, and with it what the options say; returns its parent for tpm2-tools.
    fn make(&self, parent: Parent, key: TpmKey, options: &[&str]) -> String {
        let parent = match parent {
            Parent::Hierarchy(hierarchy) => self.make_primary(hierarchy, ""),
            Parent::Handle(handle) => handle.into(),
        };
        self.tpm2("create -C {}", &[&parent])
            .args(key.options())
            .args(options)
            .ok();
        self.flush();
        parent
    }

    /// Makes the primary key that tpm2-openssl and others expect, to the last attribute: from another
    /// template it would be another key. Returns its context file.
    pub fn make_primary(&self, hierarchy: &str, auth: &str) -> String {
        let context = "primary.ctx";
        let attributes = format!("{MADE_HERE}|restricted|decrypt|noda");
        self.tpm2(
            "createprimary -C {} -p {} -G ecc256:aes128cfb -a {} -c {}",
            &[hierarchy, auth, &attributes, context],
        )
        .ok();
        self.flush();
        context.into()
    }

    /// The tools leave objects and sessions behind, even for each other.
    fn flush(&self) {
        for kind in ["--transient-object", "--loaded-session"] {
            self.tpm2("flushcontext {}", &[kind]).ok();
        }
    }

    /// Stores a file, such as a certificate in DER, at an index such as "0x01c00002".
    pub fn store_certificate(&self, index: &str, file: &Path) {
        let size = fs::metadata(file).expect("a certificate").len().to_string();
        let file = file.to_str().expect("a path of ours");
        self.tpm2(
            "nvdefine {} -C o -s {} -a ownerread|ownerwrite|authread|authwrite",
            &[index, &size],
        )
        .ok();
        self.tpm2("nvwrite {} -C o -i {}", &[index, file]).ok();
    }
}
