//! What an operator confirms before it is removed, or given out: a list, by a short digest of it.

use clavicle_ledger::encoding::Hex;

use crate::answer::{Answer, Failure};

/// So many bytes of the digest are shown. Fewer could be searched for another list, by who can add to it.
const LEN: usize = 6;

/// A digest of a list of what would be done: whoever confirms it has seen this list, and not another one that is as long.
#[derive(Clone, Debug)]
pub(super) struct ListDigest(blake3::Hasher);

impl ListDigest {
    pub(super) fn new() -> Self {
        Self(blake3::Hasher::new_derive_key("clavicle 2026 a list of what an operator would remove"))
    }

    /// Ids and digests, in their order.
    pub(super) fn add<'a>(&mut self, items: impl IntoIterator<Item = &'a [u8; 32]>) {
        for item in items {
            self.0.update(item);
        }
    }

    /// In digits.
    pub(super) fn finish(&self) -> String {
        Hex(&self.0.finalize().as_bytes()[..LEN]).to_string()
    }
}

/// Whether a digest that was given is this one.
pub(super) fn is_confirmed(given: Option<&str>, digest: &str) -> bool {
    given.is_some_and(|given| given.trim().eq_ignore_ascii_case(digest))
}

/// Nothing was removed yet: what would be is to be looked at first, and confirmed.
pub(super) fn unconfirmed(what: &str, many: &str, digest: &str, given: Option<&str>, answer: Answer) -> Failure {
    let given = given.map(|given| format!(" What would go is not {given}, or not any more.")).unwrap_or_default();
    let sentence =
        format!("nothing was removed.{given} If you mean it, remove {what} with `--confirm {digest}`: {many}");
    Failure::Found { code: "confirm", sentence, answer: Box::new(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_as_long_has_another_digest() {
        let of = |items: &[[u8; 32]]| {
            let mut digest = ListDigest::new();
            digest.add(items);
            digest.finish()
        };
        let digest = of(&[[1; 32], [2; 32]]);
        for other in [of(&[[1; 32], [3; 32]]), of(&[[2; 32], [1; 32]]), of(&[[1; 32]]), of(&[])] {
            assert_ne!(digest, other);
            assert!(!is_confirmed(Some(&other), &digest));
        }
        assert_eq!(digest.len(), 2 * LEN);
        assert!(is_confirmed(Some(&format!(" {}\n", digest.to_uppercase())), &digest));
        assert!(!is_confirmed(Some("2"), &digest) && !is_confirmed(Some(""), &digest) && !is_confirmed(None, &digest));
    }
}
