//! By C-STORE: what is proposed, and each instance in what the archive takes.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use clavicle_app::sentences;
use clavicle_dicom::rewrite::Syntax;
use clavicle_dimse::{AeTitle, Association, Peer, Proposal, ScuError, StoreFile};
use clavicle_manifest::Uid;

use super::{Item, PushError, Sending};

/// Most presentation contexts of an association (PS3.8 §9.3.2.2).
const MOST_CONTEXTS: usize = 128;
/// How long a step may take: an archive on tape takes its time.
const PATIENCE: Duration = Duration::from_secs(60);
/// After so many associations that broke one after the other, no more are asked for.
const MOST_BROKEN: u32 = 3;

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";

/// Sends all of them.
pub(super) fn send(
    sending: &mut Sending<'_>,
    items: Vec<Item>,
    called: &AeTitle,
    (host, port): (&str, u16),
) -> Result<(), PushError> {
    let address = resolve(host, port)?;
    let peer = Peer { address, called: called.clone(), calling: sending.push.calling.clone(), timeout: PATIENCE };
    let mut has_begun = false;
    let mut broken = 0;
    for (proposals, items) in associations(items) {
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let association = match Association::request(&peer, &proposals) {
                Ok(association) => association,
                // Before anything was sent, nothing was: that is said in one sentence.
                Err(error) if !has_begun => return Err(PushError::Unreachable(sentences(&error))),
                Err(error) => {
                    let reason = sentences(&error);
                    items.by_ref().for_each(|item| sending.failed(&item, reason.as_str()));
                    break;
                }
            };
            has_begun = true;
            let before = sending.pushed.stored;
            if let Err(error) = over(sending, association, &mut items) {
                broken = if sending.pushed.stored > before { 1 } else { broken + 1 };
                if broken >= MOST_BROKEN {
                    let reason = format!("the archive broke off again and again; last, {}", sentences(&error));
                    items.by_ref().for_each(|item| sending.failed(&item, reason.as_str()));
                }
            }
        }
    }
    Ok(())
}

/// Sends items over an association until there are none, or it is over. The one at which it ended has failed.
fn over(
    sending: &mut Sending<'_>,
    mut association: Association,
    items: &mut dyn Iterator<Item = Item>,
) -> Result<(), ScuError> {
    for item in items {
        let taken = |association: &Association, uid| association.takes(item.sop_class_uid, uid);
        let [explicit, implicit] = natives();
        let syntax = if taken(&association, item.transfer_syntax_uid) {
            Syntax::Own
        } else if taken(&association, explicit) {
            Syntax::Explicit
        } else if taken(&association, implicit) {
            Syntax::Implicit
        } else {
            let syntax = item.transfer_syntax_uid;
            let reason = format!(
                "the archive takes no objects of this class ({}), neither as they are ({syntax}) nor uncompressed",
                item.sop_class_uid
            );
            sending.failed(&item, reason);
            continue;
        };
        let prepared = sending.prepare(&item, syntax).and_then(|file| Ok(StoreFile::of_file(file)?));
        let mut file = match prepared {
            Ok(file) => file,
            Err(error) => {
                let reason = sentences(&error);
                let why = if syntax == Syntax::Own { "" } else { "the archive does not take it as it is, and " };
                sending.failed(&item, format!("{why}{reason}"));
                continue;
            }
        };
        // What was deflated or big endian is written anew in another syntax, which may not be the one that was looked for.
        if !taken(&association, file.transfer_syntax_uid()) {
            sending.failed(
                &item,
                format!("the archive does not take its transfer syntax ({})", file.transfer_syntax_uid()),
            );
            continue;
        }
        match association.store(&mut file) {
            Ok((status, _)) if status.is_stored() => sending.stored(syntax != Syntax::Own),
            Ok((status, comment)) => {
                let comment = comment.map(|comment| format!(", {comment}")).unwrap_or_default();
                sending.failed(&item, format!("the archive says: {status}{comment}"));
            }
            Err(error) => {
                sending.failed(&item, sentences(&error));
                return Err(error);
            }
        }
    }
    // All were answered: how it ends is of no interest.
    drop(association.release());
    Ok(())
}

fn natives() -> [Uid; 2] {
    [EXPLICIT, IMPLICIT].map(|uid| Uid::new(uid).expect("the standard's UIDs are UIDs"))
}

/// Classes, each in a transfer syntax.
type Contexts = BTreeSet<(Uid, Uid)>;

/// What is to be sent over each association: as few as can be, each with as many contexts as it may have. Each transfer syntax is proposed by
/// itself, so that the archive cannot choose for us, and beside it the two that can always be made.
fn associations(items: Vec<Item>) -> Vec<(Vec<Proposal>, Vec<Item>)> {
    let wanted = |item: &Item| {
        let [explicit, implicit] = natives();
        [item.transfer_syntax_uid, explicit, implicit].map(|syntax| (item.sop_class_uid, syntax))
    };
    let mut all: Vec<(Contexts, Vec<Item>)> = Vec::new();
    for item in items {
        let contexts = wanted(&item);
        let room = |have: &Contexts| {
            have.len() + contexts.iter().collect::<BTreeSet<_>>().iter().filter(|one| !have.contains(**one)).count()
        };
        match all.iter_mut().find(|(have, _)| room(have) <= MOST_CONTEXTS) {
            Some((have, group)) => {
                have.extend(contexts);
                group.push(item);
            }
            None => all.push((BTreeSet::from(contexts), vec![item])),
        }
    }
    let proposal =
        |(abstract_syntax, transfer_syntax)| Proposal { abstract_syntax, transfer_syntaxes: vec![transfer_syntax] };
    all.into_iter().map(|(contexts, items)| (contexts.into_iter().map(proposal).collect(), items)).collect()
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, PushError> {
    let found = (host, port).to_socket_addrs().map_err(|error| PushError::Unreachable(format!("{host}: {error}")))?;
    // The older protocol is what archives listen on.
    let found: Vec<SocketAddr> = found.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| PushError::Unreachable(format!("{host} has no address")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn more_contexts_than_an_association_has_take_several() {
        let uid = |text: String| Uid::new(&text).unwrap();
        let items: Vec<Item> = (0..200u32)
            .map(|number| Item {
                path: PathBuf::new(),
                sop_class_uid: uid(format!("1.2.{}", number % 100)),
                sop_instance_uid: uid(format!("1.3.{number}")),
                transfer_syntax_uid: uid("1.2.840.10008.1.2.4.70".to_owned()),
                size: 0,
            })
            .collect();
        let all = associations(items);
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|(proposals, _)| proposals.len() <= MOST_CONTEXTS));
        assert_eq!(all.iter().map(|(_, items)| items.len()).sum::<usize>(), 200);
        for (proposals, items) in &all {
            for item in items {
                let is_there = proposals.iter().any(|one| {
                    one.abstract_syntax == item.sop_class_uid && one.transfer_syntaxes == [item.transfer_syntax_uid]
                });
                assert!(is_there);
            }
        }
    }
}
