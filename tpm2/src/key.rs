//! From where a key is to an object that can be used.

use std::sync::Arc;

use tpm2_abi::{Area, Cause, Failure, Object, Parent, PolicyCommand, Saved, Source};
use tss_esapi::constants::tss::{TPM2_RC_1, TPM2_RC_H, TPM2_RC_HANDLE, TPM2_RC_INTEGRITY};
use tss_esapi::tss2_esys::{TPM2B_PRIVATE, TPM2B_PUBLIC};

use crate::area;
use crate::codes::{is_stale, tpm_code};
use crate::esys::{self, Handle, Held, Protection, Result, told};
use crate::grant::Grant;
use crate::kept::Known;
use crate::primary::Kind;
use crate::tpm::Tpm;

/// A key in the TPM; flushed when this goes, unless it is persistent.
pub struct Key<'t> {
    pub handle: Handle,
    pub area: Arc<Area>,
    policy: &'t [PolicyCommand],
    auth: &'t [u8],
    _held: Option<Held<'t>>,
}

impl<'t> Key<'t> {
    /// What authorises a command with it.
    pub fn grant(&self, tpm: &'t Tpm<'_>, protection: Protection) -> Result<Grant<'t>> {
        Grant::new(tpm, self.handle, self.auth, self.policy, protection)
    }
}

/// A parent in the TPM.
pub struct Ancestor<'t> {
    pub held: Held<'t>,
    /// Its authorisation value: a primary key has none, what `parent_auth` means there is the
    /// hierarchy's.
    pub auth: &'t [u8],
}

impl Tpm<'_> {
    /// The key, loaded.
    pub fn key<'t>(&'t self, object: &'t Object) -> Result<Key<'t>> {
        let (handle, area, held) = match &object.source {
            Source::Persistent(number) => self.persistent(*number, object.auth.is_empty())?,
            source => {
                let (held, area) = self.transient(source, &object.parent_auth)?;
                (held.handle(), area, Some(held))
            }
        };
        if object.name.as_ref().is_some_and(|name| *name != area.name) {
            return Err(replaced());
        }
        let policy = match &object.source {
            Source::Wrapped { policy, .. } => &policy[..],
            _ => &[],
        };
        Ok(Key {
            handle,
            area,
            policy,
            auth: &object.auth,
            _held: held,
        })
    }

    /// What is known of the object may be out of date, which the TPM tells only where its Name isn't
    /// part of the authorisation: there it would count as a refused one.
    fn persistent(
        &self,
        number: u32,
        may_be_known: bool,
    ) -> Result<(Handle, Arc<Area>, Option<Held<'_>>)> {
        if !is_persistent(number) {
            let text = format!("{number:#010x} is no persistent handle (0x81......)");
            return Err(told("TPM2_ReadPublic", text));
        }
        if let Some((handle, area)) = self.known_persistent(number).filter(|_| may_be_known) {
            return Ok((handle, area, None));
        }
        self.expect(number)?;
        let held = self.reference(number)?;
        let area = Arc::new(self.area_of(held.handle())?);
        if !may_be_known {
            return Ok((held.handle(), area, Some(held)));
        }
        let handle = held.into_handle();
        self.keep_persistent(number, handle, area.clone());
        Ok((handle, area, None))
    }

    /// The TPM's own answer for what is not there, but tss2 would write it to standard error before us.
    fn expect(&self, number: u32) -> Result<()> {
        match self.esys.handles(number)?.first() {
            Some(first) if *first == number => Ok(()),
            _ => Err(Failure {
                function: "TPM2_ReadPublic".into(),
                cause: Cause::Code(TPM2_RC_HANDLE | TPM2_RC_H | TPM2_RC_1),
                lockout: None,
            }),
        }
    }

    fn transient(&self, source: &Source, parent_auth: &[u8]) -> Result<(Held<'_>, Arc<Area>)> {
        let known = self.kept.borrow_mut().keys.get(source).cloned();
        if let Some(known) = known {
            match self.esys.context_load(&known.saved) {
                Ok(held) => return Ok((held, known.area)),
                Err(failure) if is_stale(&failure) => {
                    self.kept.borrow_mut().keys.remove(source);
                }
                Err(failure) => return Err(failure),
            }
        }
        let (held, area, saved) = self.newly_loaded(source, parent_auth)?;
        let area = Arc::new(area);
        let known = Known {
            saved,
            area: area.clone(),
        };
        self.kept.borrow_mut().keys.insert(source.clone(), known);
        Ok((held, area))
    }

    fn newly_loaded(&self, source: &Source, parent_auth: &[u8]) -> Result<(Held<'_>, Area, Saved)> {
        match source {
            Source::Saved(saved) => {
                let held = self.esys.context_load(saved)?;
                let area = self.area_of(held.handle())?;
                Ok((held, area, saved.clone()))
            }
            Source::Wrapped {
                parent,
                public,
                private,
                secret,
                ..
            } => {
                let public = esys::read_public(public)?;
                let private = esys::read_private(private)?;
                let secret = secret.as_deref();
                let held = self.under_a_parent(*parent, parent_auth, |parent| {
                    self.load(parent, &public, &private, secret)
                })?;
                let area = area::area(&public, self.esys.name(held.handle())?)?;
                let saved = self.esys.context_save(held.handle())?;
                Ok((held, area, saved))
            }
            Source::Persistent(_) => {
                Err(told("TPM2_Load", "a persistent object is loaded already"))
            }
        }
    }

    /// TPM2_Load, after TPM2_Import where there is a secret.
    fn load(
        &self,
        parent: &Ancestor<'_>,
        public: &TPM2B_PUBLIC,
        private: &TPM2B_PRIVATE,
        secret: Option<&[u8]>,
    ) -> Result<Held<'_>> {
        let handle = parent.held.handle();
        let sessions = || Grant::new(self, handle, parent.auth, &[], Protection::NONE);
        let imported = match secret {
            None => None,
            Some(secret) => {
                let seed = esys::read_seed(secret)?;
                let grant = sessions()?;
                let sessions = grant.sessions();
                Some(self.esys.import(handle, sessions, public, private, &seed)?)
            }
        };
        let private = imported.as_deref().unwrap_or(private);
        let grant = sessions()?;
        self.esys.load(handle, grant.sessions(), private, public)
    }

    /// Does `work` under the parent, whichever it turns out to be: a file tells the hierarchy, but not
    /// from which template its writer makes the primary key. The TPM takes no key of another parent.
    pub fn under_a_parent<T>(
        &self,
        parent: Parent,
        auth: &[u8],
        work: impl Fn(&Ancestor<'_>) -> Result<T>,
    ) -> Result<T> {
        let Parent::Primary { hierarchy, rsa } = parent else {
            return work(&self.parent(parent, Kind::usual(false), auth)?);
        };
        let fitting = self.kept.borrow().fitting.filter(|kind| kind.rsa == rsa);
        let usual = Kind::candidates(rsa);
        let others = usual.iter().copied().filter(|kind| Some(*kind) != fitting);
        let mut first = None;
        for kind in fitting.into_iter().chain(others) {
            let parent = Parent::Primary { hierarchy, rsa };
            let result = self.parent(parent, kind, auth).and_then(|it| work(&it));
            match result {
                Ok(done) => {
                    self.kept.borrow_mut().fitting = Some(kind);
                    return Ok(done);
                }
                Err(failure) if tpm_code(&failure) == Some(TPM2_RC_INTEGRITY) => {
                    first.get_or_insert(failure);
                }
                // That the TPM has no such kind of key does not matter if it isn't the first one.
                Err(failure) => return Err(first.unwrap_or(failure)),
            }
        }
        Err(first.unwrap_or_else(|| told("TPM2_Load", "there is no parent")))
    }

    /// A parent, of `kind` if it is a primary key.
    pub fn parent<'t>(
        &'t self,
        parent: Parent,
        kind: Kind,
        auth: &'t [u8],
    ) -> Result<Ancestor<'t>> {
        let (held, auth) = match parent {
            Parent::Persistent(number) if is_persistent(number) => (self.reference(number)?, auth),
            Parent::Persistent(number) => {
                let text = format!("{number:#010x} is no persistent handle (0x81......)");
                return Err(told("TPM2_Load", text));
            }
            Parent::Primary { hierarchy, .. } => (self.primary(hierarchy, kind, auth)?, &[][..]),
        };
        Ok(Ancestor { held, auth })
    }

    pub fn area_of(&self, object: Handle) -> Result<Area> {
        let public = self.esys.read_public(object)?;
        area::area(&public, self.esys.name(object)?)
    }
}

/// Another object is where the key was.
fn replaced() -> Failure {
    Failure {
        function: "TPM2_ReadPublic".into(),
        cause: Cause::Replaced,
        lockout: None,
    }
}

fn is_persistent(number: u32) -> bool {
    number >> 24 == 0x81
}
