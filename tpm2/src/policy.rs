//! What a key wants to be shown before it may be used. TPM 2.0 Library part 1, chapter 19.7; the TSS2
//! key file draft, chapter 4.1.

// The command codes, as the specification writes them.
#![expect(non_upper_case_globals)]

use tpm2_abi::PolicyCommand;
use tss_esapi::constants::tss::*;

use crate::esys::{Handle, PASSWORD, Result, digest, read_digests, read_pcr_selection, told};
use crate::tpm::Tpm;

/// Shows `commands` to the TPM, in their order.
pub fn show(tpm: &Tpm<'_>, session: Handle, commands: &[PolicyCommand]) -> Result<()> {
    commands
        .iter()
        .try_for_each(|command| one(tpm, session, command))
}

/// Whether a policy is for certain commands only.
pub fn is_for_some_commands(commands: &[PolicyCommand]) -> bool {
    let mut codes = commands.iter().map(|command| command.code);
    codes.any(|code| code == TPM2_CC_PolicyCommandCode || code == TPM2_CC_PolicyOR)
}

fn one(tpm: &Tpm<'_>, session: Handle, command: &PolicyCommand) -> Result<()> {
    let mut parameters = Parameters(&command.parameters);
    match command.code {
        // Both leave the same digest, and this one sends no password.
        TPM2_CC_PolicyAuthValue | TPM2_CC_PolicyPassword => tpm.esys.policy_auth_value(session),
        TPM2_CC_PolicyCommandCode => {
            let code = parameters.number()?;
            tpm.esys.policy_command_code(session, code)
        }
        TPM2_CC_PolicyLocality => {
            let [locality] = parameters.take()?;
            tpm.esys.policy_locality(session, locality)
        }
        TPM2_CC_PolicyPCR => {
            let expected = digest(parameters.sized()?)?;
            let pcrs = read_pcr_selection(parameters.0)?;
            tpm.esys.policy_pcr(session, &expected, &pcrs)
        }
        TPM2_CC_PolicyOR => {
            let branches = read_digests(parameters.0)?;
            tpm.esys.policy_or(session, &branches)
        }
        TPM2_CC_PolicySecret => secret(tpm, session, parameters),
        code => Err(told("hwkey-tpm2", unknown(code))),
    }
}

/// With the authorisation value of a hierarchy, if it is empty. The draft writes the handle, then
/// perhaps a Name, and what the creator of the policy wanted to have in it.
fn secret(tpm: &Tpm<'_>, session: Handle, mut parameters: Parameters<'_>) -> Result<()> {
    let object = match parameters.number()? {
        TPM2_RH_OWNER => Handle::OWNER,
        TPM2_RH_ENDORSEMENT => Handle::from(tpm2_abi::Hierarchy::Endorsement),
        TPM2_RH_PLATFORM => Handle::from(tpm2_abi::Hierarchy::Platform),
        other => {
            let text =
                format!("TPM2_PolicySecret of {other:#010x}: only a hierarchy's is known here");
            return Err(told("TPM2_PolicySecret", text));
        }
    };
    let mut reference: &[u8] = &[];
    while !parameters.0.is_empty() {
        reference = parameters.sized()?;
    }
    let reference = digest(reference)?;
    tpm.esys
        .policy_secret(object, session, PASSWORD, &reference)
}

/// The marshalled parameters of a command that are left.
struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn sized(&mut self) -> Result<&'a [u8]> {
        let size = usize::from(u16::from_be_bytes(self.take()?));
        let (taken, rest) = self.0.split_at_checked(size).ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn cut_short() -> tpm2_abi::Failure {
    told(
        "hwkey-tpm2",
        "the parameters of the policy's command are cut short",
    )
}

fn unknown(code: u32) -> String {
    let name = match code {
        TPM2_CC_PolicySigned => "TPM2_PolicySigned",
        TPM2_CC_PolicyAuthorize => "TPM2_PolicyAuthorize",
        TPM2_CC_PolicyNV => "TPM2_PolicyNV",
        TPM2_CC_PolicyCounterTimer => "TPM2_PolicyCounterTimer",
        TPM2_CC_PolicyCpHash => "TPM2_PolicyCpHash",
        TPM2_CC_PolicyNameHash => "TPM2_PolicyNameHash",
        TPM2_CC_PolicyTicket => "TPM2_PolicyTicket",
        TPM2_CC_PolicyPhysicalPresence => "TPM2_PolicyPhysicalPresence",
        TPM2_CC_PolicyDuplicationSelect => "TPM2_PolicyDuplicationSelect",
        TPM2_CC_PolicyNvWritten => "TPM2_PolicyNvWritten",
        TPM2_CC_PolicyTemplate => "TPM2_PolicyTemplate",
        TPM2_CC_PolicyAuthorizeNV => "TPM2_PolicyAuthorizeNV",
        _ => return format!("the key's policy has a command {code:#x}, which is not known here"),
    };
    format!("the key's policy has {name}, which is not known here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_to_their_end_and_not_beyond() {
        let mut parameters = Parameters(&[0, 0, 1, 2, 0, 2, 7, 8, 0, 9]);
        assert_eq!(parameters.number().unwrap(), 0x102);
        assert_eq!(parameters.sized().unwrap(), [7, 8]);
        assert!(parameters.sized().is_err());
        assert!(Parameters(&[1]).number().is_err());
    }
}
