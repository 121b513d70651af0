//! Who shows a card, as relays and a hospital's own relay say it. Nothing of it is believed here.

use std::collections::HashSet;

use clavicle_ledger::encoding::{Ascending, Bytes};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_letters::card::RelayMark;
use clavicle_letters::credential::Vouching;
use clavicle_letters::mailbox::{MAX_SEALED_LEN, Mailbox};
use clavicle_network::message::{
    Acknowledged, MailboxRefusal, MailboxRequest, MailboxResponse, Query, Request, Response,
};
use clavicle_network::swarm::{AskError, Client};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tracing::debug;

use super::Ledger;
use super::asking::{GRACE, by};
use crate::error::WalletError;

/// How often a mailbox is looked into until nothing lies in it that is to go.
const MOST_CLEANED: usize = 8;

/// By what a message that may stay is known: of those that are the same one stays.
pub(crate) type Stays<'a> = &'a (dyn Fn(&[u8]) -> Option<blake3::Hash> + Sync);

impl Ledger {
    /// The sources that these marks on a card are of, as far as they are known.
    pub(crate) fn marked(&self, marks: &[RelayMark]) -> Vec<SourceId> {
        self.directory.sources().filter(|source| marks.iter().any(|mark| mark.is_of(source))).collect()
    }

    /// The source that is called so, or whose id begins so.
    pub(crate) fn source_called(&self, name: &str) -> Option<SourceId> {
        let name = name.trim();
        let mut found = self.directory.sources().filter(|source| {
            self.name(source).eq_ignore_ascii_case(name)
                || name.len() >= 8 && source.to_string().starts_with(&name.to_ascii_lowercase())
        });
        found.next().filter(|_| found.next().is_none())
    }

    /// Asks a source's own relay what it says of a person: its credential and the newest list. Nothing, where it
    /// vouches for nobody of that key.
    ///
    /// # Errors
    /// [`WalletError`].
    pub(crate) async fn vouching(
        &mut self,
        source: &SourceId,
        person: Key,
    ) -> Result<Option<Box<Vouching>>, WalletError> {
        let mut client = self.reach(source).await?;
        let asked = client.ask(Request::Query(Query::Credential(person))).await;
        match asked.map_err(|error| WalletError::NoRelay(Some(error)))? {
            Response::Credential(vouching) => Ok(vouching),
            Response::Unavailable => Err(WalletError::NoRelay(None)),
            _ => Err(WalletError::OtherAnswer),
        }
    }

    /// What lies in a mailbox at these relays; it stays there. Nothing, where none of them answers.
    pub(crate) async fn look_into(&self, relays: &[SourceId], key: &SecretKey) -> Option<Vec<Vec<u8>>> {
        let mut asking: FuturesUnordered<_> = relays.iter().map(|source| self.look_at(source, key)).collect();
        let (mut until, mut answered) = (None, None);
        while let Some(found) = by(until, asking.next()).await.flatten() {
            match found {
                Some(found) if !found.is_empty() => return Some(found),
                Some(none) => {
                    answered = Some(none);
                    until = until.or_else(|| Some(Instant::now() + GRACE));
                }
                None => {}
            }
        }
        answered
    }

    /// Leaves something in a mailbox of this wallet's, and then throws away what lay there before and does not stay
    /// beside it: whoever looks meanwhile finds one or both. Says how many relays have taken it.
    pub(crate) async fn replace(&self, mailbox: &Mailbox, key: &SecretKey, sealed: &[u8], stays: Stays<'_>) -> usize {
        let Ok(sealed) = Bytes::<MAX_SEALED_LEN>::new(sealed.to_vec()) else { return 0 };
        let mut replacing: FuturesUnordered<_> =
            mailbox.relays.iter().map(|source| self.replace_at(source, (mailbox, key), &sealed, stays)).collect();
        let mut taken = 0;
        while let Some(replaced) = replacing.next().await {
            match replaced {
                Ok(is_taken) => taken += usize::from(is_taken),
                Err(error) => debug!(%error, "a relay that keeps a mailbox does not answer"),
            }
        }
        taken
    }

    async fn replace_at(
        &self,
        source: &SourceId,
        (mailbox, key): (&Mailbox, &SecretKey),
        sealed: &Bytes<MAX_SEALED_LEN>,
        stays: Stays<'_>,
    ) -> Result<bool, AskError> {
        let Some(relay) = self.relay(source) else { return Ok(false) };
        let mut client = self.connect(&relay).await?;
        let deposit = MailboxRequest::Deposit { mailbox: mailbox.key, token: mailbox.token, sealed: sealed.clone() };
        let deposit = Request::Mailbox(Box::new(deposit));
        let mut answer = client.ask(deposit.clone()).await?;
        // Whoever has the card can fill it: that makes room. What was left before is the oldest that does not stay, and
        // lies there until the new one does.
        if let Response::Mailbox(MailboxResponse::Refused(MailboxRefusal::Full | MailboxRefusal::Share)) = answer {
            let one_more = |message: &[u8]| stays(message).or_else(|| Some(blake3::hash(b"what was left before")));
            self.clean(&mut client, (*source, key), sealed, &one_more).await?;
            answer = client.ask(deposit).await?;
        }
        if !matches!(answer, Response::Mailbox(MailboxResponse::Done)) {
            debug!(?answer, "a relay does not take a message");
            return Ok(false);
        }
        self.clean(&mut client, (*source, key), sealed, stays).await?;
        Ok(true)
    }

    /// Throws away what lies in a mailbox at one relay, but for `sealed` and one of each that stays.
    async fn clean(
        &self,
        client: &mut Client,
        (source, key): (SourceId, &SecretKey),
        sealed: &Bytes<MAX_SEALED_LEN>,
        stays: Stays<'_>,
    ) -> Result<(), AskError> {
        let mut gone = Ascending::new();
        for _ in 0..MOST_CLEANED {
            let lies = self.ask_messages(client, source, key, gone).await?;
            let Response::Mailbox(MailboxResponse::Messages(messages)) = lies else { return Ok(()) };
            let to_go = to_go(messages.as_slice().iter().map(Bytes::as_slice), sealed.as_slice(), stays);
            match Ascending::from_items(to_go) {
                Ok(to_go) if !to_go.is_empty() => gone = to_go,
                _ => break,
            }
        }
        Ok(())
    }

    /// What lies in a mailbox at one relay.
    async fn look_at(&self, source: &SourceId, key: &SecretKey) -> Option<Vec<Vec<u8>>> {
        let mut client = self.connect(&self.relay(source)?).await.ok()?;
        match self.ask_messages(&mut client, *source, key, Ascending::new()).await {
            Ok(Response::Mailbox(MailboxResponse::Messages(messages))) => {
                Some(messages.into_vec().into_iter().map(Bytes::into_vec).collect())
            }
            // Nobody has opened it.
            Ok(Response::Mailbox(MailboxResponse::Refused(_))) => Some(Vec::new()),
            answer => {
                debug!(?answer, "a relay does not say what lies in a mailbox");
                None
            }
        }
    }
}

/// Which messages are to go: all but `sealed`, and one of each that stays.
fn to_go<'a>(messages: impl Iterator<Item = &'a [u8]>, sealed: &[u8], stays: Stays<'_>) -> Vec<Acknowledged> {
    let mut staying = HashSet::new();
    let goes = |message: &&[u8]| *message != sealed && !stays(message).is_some_and(|it| staying.insert(it));
    let mut to_go: Vec<_> =
        messages.filter(goes).map(|message| Acknowledged(*blake3::hash(message).as_bytes())).collect();
    to_go.sort_unstable();
    to_go.dedup();
    to_go
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attack: whoever has a card seals a further one anew, over and over, until nothing else is looked at.
    #[test]
    fn of_copies_one_stays() {
        // The first byte says which card is in it; 0 is none.
        let stays = |message: &[u8]| message.first().filter(|card| **card > 0).map(|card| blake3::hash(&[*card]));
        let of = |message: &[u8]| Acknowledged(*blake3::hash(message).as_bytes());
        let messages: [&[u8]; 6] = [&[1, 1], &[0, 9], &[1, 2], &[2, 1], &[0, 7], &[1, 3]];
        let mut gone = [of(&[0, 9]), of(&[1, 2]), of(&[1, 3])];
        gone.sort_unstable();
        assert_eq!(to_go(messages.into_iter(), &[0, 7], &stays), gone);
    }
}
