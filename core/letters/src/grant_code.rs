//! A grant as a code: signed without a network, and submitted by anybody who has one.
//!
//! Whoever sees the code learns what the ledger will say to everybody: which study, and which key. What it takes to
//! fetch is not in it: the letter to the grantee is left by the granter's own device, when that has a network again.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use clavicle_ledger::id::{ChainId, GrantId};
use clavicle_ledger::transaction::{Action, Envelope, MAX_ENVELOPE_LEN, StatelessError};

/// A signed grant that anybody may submit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantCode {
    /// The network.
    pub chain: ChainId,
    /// The Grant, signed.
    pub envelope: Envelope,
}

/// Why a code is no grant that could be submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantCodeError {
    /// Another network's.
    #[error("the grant is of another network than this wallet; somebody of that network can submit it")]
    OtherNetwork,
    /// Another action.
    #[error(
        "the code holds another transaction than a grant, and was not submitted; ask the patient for the code once more"
    )]
    NotAGrant,
    /// Not a transaction that could ever be executed.
    #[error(
        "the grant was altered since the patient's device signed it, and was not submitted; ask for the code once more: {0}"
    )]
    Envelope(#[from] StatelessError),
}

impl GrantCode {
    /// Checks that it is a grant, signed, on this network. Whether the granter has the study, and whether it is not too
    /// late, the hospitals tell.
    ///
    /// # Errors
    /// [`GrantCodeError`].
    pub fn check(&self, chain: &ChainId) -> Result<GrantId, GrantCodeError> {
        if self.chain != *chain {
            return Err(GrantCodeError::OtherNetwork);
        }
        let verified = self.envelope.clone().check_stateless(chain)?;
        let Action::Grant(_) = &verified.body().action else { return Err(GrantCodeError::NotAGrant) };
        Ok(verified.id().into())
    }
}

impl Wire for GrantCode {
    const NAME: &'static str = "a signed grant";
    const MAX_LEN: usize = 32 + MAX_ENVELOPE_LEN;
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::action::Revoke;
    use clavicle_ledger::transaction::Body;

    use super::*;
    use crate::card::tests::CHAIN;
    use crate::code;
    use crate::letter::tests::{SENT, grant_letter, holder};

    fn code() -> GrantCode {
        GrantCode { chain: CHAIN, envelope: grant_letter().envelope }
    }

    #[test]
    fn a_grant_fits_a_small_code_and_each_wrong_one_is_told_apart() {
        let text = code::to_text(&code());
        assert_eq!(code::from_text(&text), Ok(code()));
        // QR version 14 at level M holds 528 characters.
        assert!(text.starts_with("CLAVICLE:GRANT:") && text.len() <= 528, "{}", text.len());
        assert_eq!(code().check(&CHAIN), Ok(code().envelope.body.id(&CHAIN).into()));
        let other = ChainId::from_bytes([9; 32]);
        assert_eq!(code().check(&other), Err(GrantCodeError::OtherNetwork));
        let relabelled = GrantCode { chain: other, ..code() };
        assert!(matches!(relabelled.check(&other), Err(GrantCodeError::Envelope(_))));
        let mut altered = code();
        altered.envelope.body.nonce = [0; 16];
        assert!(matches!(altered.check(&CHAIN), Err(GrantCodeError::Envelope(_))));
        let (study, grant) = match &code().envelope.body.action {
            Action::Grant(grant) => (grant.study, code().check(&CHAIN).unwrap()),
            _ => panic!("a grant"),
        };
        let revoke = Revoke { study, revoker: holder().public(), grant, grant_submit_by: SENT };
        let body = Body { submit_by: SENT, nonce: [8; 16], action: Action::Revoke(revoke) };
        let revocation = GrantCode { chain: CHAIN, envelope: body.sign(&CHAIN, &[&holder()]).unwrap() };
        assert_eq!(revocation.check(&CHAIN), Err(GrantCodeError::NotAGrant));
    }
}
