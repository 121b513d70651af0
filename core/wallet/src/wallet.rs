//! A wallet: a vault, and the network as it knows it. What patients and recipients have in common.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clavicle_directory::Directory;
use clavicle_ledger::derivation::{Branch, Seed, Words};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::light::{Checkpoint, Identities, LightClient};
use clavicle_ledger::receipt::SignedReceipt;
use clavicle_ledger::source::{KeyRole, KeyUse, Source};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::time::{Height, LocalTime, Timestamp};
use clavicle_ledger::transaction::Envelope;
use clavicle_letters::grant_code::GrantCode;
use clavicle_letters::random;
use clavicle_network::endpoint::Remote;
use clavicle_network::message::Response;
use clavicle_network::revoke;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;
use tracing::debug;
use zeroize::Zeroizing;

use crate::error::WalletError;
use crate::ledger::{Ledger, Proven, Submitted, Woken};
use crate::rows::{FormerWords, Network, Profile, WordsCheck};
use crate::vault::{Batch, KeyStore, Vault, VaultError};

/// How old a header may be that is not looked up anew, in milliseconds.
const JUST_MS: u64 = 60_000;
/// How long that is waited for.
const SOON: Duration = Duration::from_secs(1);
/// The most keys of a source, other than the one now, that are looked up at once.
const MAX_FORMER_KEYS: usize = 8;

/// How many questions to the ledger are under way at once.
const ASKED_AT_ONCE: usize = 16;

/// How long a revocation that goes to the source itself waits for a relay to prove where that is.
const WHERE: Duration = Duration::from_secs(1);
/// How much longer than the network a source may take to give its receipt for a revocation.
const GIVEN: Duration = Duration::from_secs(1);

/// The words of a wallet.
const COUNT_OF_WORDS: u8 = 24;

/// A wallet, open.
#[derive(Debug)]
pub(crate) struct Wallet {
    pub(crate) vault: Arc<Vault>,
    pub(crate) ledger: Ledger,
}

/// Whose wallet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Patient,
    Recipient,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Recipient => "recipient",
        }
    }
}

impl Wallet {
    /// Makes a wallet in a new folder, from 32 random bytes, and gives the words to be written down.
    ///
    /// # Errors
    /// [`WalletError`].
    pub(crate) fn create(
        folder: &Path,
        keys: &dyn KeyStore,
        genesis: Genesis,
        name: &str,
        clock: fn() -> LocalTime,
    ) -> Result<(Self, Words), WalletError> {
        genesis.check()?;
        let words = Words::from_entropy(&Zeroizing::new(random()?));
        let ledger = Ledger::new(&genesis, LightClient::from_genesis(&genesis), clock);
        Ok((Self::make(folder, keys, genesis, ledger, (&words, 0), name)?, words))
    }

    /// Makes a wallet in a new folder, of words, as a device with a number of its own.
    pub(crate) fn make(
        folder: &Path,
        keys: &dyn KeyStore,
        genesis: Genesis,
        ledger: Ledger,
        (words, device): (&Words, u32),
        name: &str,
    ) -> Result<Self, WalletError> {
        let vault = Vault::create(folder, keys)?;
        let profile = Profile {
            entropy: *words.entropy(),
            device,
            next_study: 0,
            next_card: 0,
            next_mailbox: 0,
            name: name.as_bytes().to_vec(),
        };
        vault.write(|batch| {
            batch.put(b"", ledger.light())?;
            batch.put(b"", &Network { genesis })?;
            // Last, since it is what makes the folder a wallet.
            batch.put(b"", &profile)
        })?;
        Ok(Self { vault: Arc::new(vault), ledger })
    }

    /// Opens the wallet in a folder.
    ///
    /// # Errors
    /// [`WalletError`].
    pub(crate) fn open(
        folder: &Path,
        keys: &dyn KeyStore,
        kind: Kind,
        clock: fn() -> LocalTime,
    ) -> Result<Self, WalletError> {
        let vault = Vault::open(folder, keys)?;
        let (Some(network), Some(light)) = (vault.get::<Network>(b"")?, vault.get::<LightClient>(b"")?) else {
            return Err(damaged());
        };
        let ledger = Ledger::new(&network.genesis, light, clock)
            .with(vault.get::<Directory>(b"")?)
            .knowing(vault.get::<Identities>(b"")?);
        let wallet = Self { vault: Arc::new(vault), ledger };
        let is = if wallet.profile()?.name.is_empty() { Kind::Patient } else { Kind::Recipient };
        if is == kind { Ok(wallet) } else { Err(WalletError::OtherKind { is: is.name(), needed: kind.name() }) }
    }

    /// The network's id.
    #[must_use]
    pub(crate) const fn chain(&self) -> ChainId {
        self.ledger.chain()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ledger.now().0
    }

    pub(crate) fn profile(&self) -> Result<Profile, WalletError> {
        self.vault.get(b"")?.ok_or_else(damaged)
    }

    pub(crate) fn seed(&self) -> Result<Seed, WalletError> {
        Ok(Words::from_entropy(&self.profile()?.entropy).seed())
    }

    /// How often the words were given up for new ones: the number of those of now.
    pub(crate) fn words_number(&self) -> Result<u32, WalletError> {
        Ok(u32::try_from(self.vault.all::<FormerWords>()?.len()).unwrap_or(u32::MAX))
    }

    /// What the keys of the words with this number come from.
    pub(crate) fn seed_of(&self, words: u32) -> Result<Seed, WalletError> {
        match self.vault.get::<FormerWords>(&words.to_be_bytes())? {
            Some(former) => Ok(Words::from_entropy(&former.entropy).seed()),
            None => self.seed(),
        }
    }

    /// The words, for whoever shows that they may see them.
    pub(crate) fn words_shown_to(&self, keys: &dyn KeyStore) -> Result<Words, WalletError> {
        self.vault.prove(keys)?;
        self.words()
    }

    fn words(&self) -> Result<Words, WalletError> {
        Ok(Words::from_entropy(&self.profile()?.entropy))
    }

    /// The places of the three words that are asked for, until they were told.
    pub(crate) fn words_asked(&self) -> Result<Option<[u8; 3]>, WalletError> {
        let check = match self.vault.get::<WordsCheck>(b"")? {
            Some(check) => check,
            None => self.ask_other_words()?,
        };
        Ok((!check.passed).then_some(check.asked))
    }

    /// Checks the words that were asked for. After wrong ones, others are.
    pub(crate) fn check_words(&self, typed: &str) -> Result<(), WalletError> {
        let Some(asked) = self.words_asked()? else { return Ok(()) };
        if !is_told(&self.words()?, asked, typed) {
            self.ask_other_words()?;
            return Err(WalletError::OtherWords(asked));
        }
        self.words_are_known()
    }

    /// Takes note that the words are written down somewhere: they were told.
    pub(crate) fn words_are_known(&self) -> Result<(), WalletError> {
        Ok(self.vault.put(b"", &WordsCheck { asked: [1, 2, 3], passed: true })?)
    }

    fn ask_other_words(&self) -> Result<WordsCheck, WalletError> {
        let check = WordsCheck { asked: three_words()?, passed: false };
        self.vault.put(b"", &check)?;
        Ok(check)
    }

    /// A key of this wallet, by its number.
    pub(crate) fn key(&self, branch: Branch, number: u32) -> Result<SecretKey, WalletError> {
        let device = self.profile()?.device;
        self.seed()?.derive_key(device, branch, number).ok_or(WalletError::NoMoreKeys)
    }

    /// Uses up `count` numbers of a branch, and gives the first.
    pub(crate) fn take_numbers(batch: &mut Batch<'_>, branch: Branch, count: u32) -> Result<Option<u32>, VaultError> {
        let Some(mut profile) = batch.get::<Profile>(b"")? else { return Ok(None) };
        let next = match branch {
            Branch::Study => &mut profile.next_study,
            Branch::Card => &mut profile.next_card,
            Branch::Mailbox => &mut profile.next_mailbox,
            // There is one, for ever.
            Branch::Person => return Ok(None),
        };
        let first = *next;
        let Some(after) = first.checked_add(count) else { return Ok(None) };
        *next = after;
        batch.put(b"", &profile)?;
        Ok(Some(first))
    }

    /// Proven rows; what is believed since is kept.
    pub(crate) async fn rows(&mut self, keys: &[StateKey]) -> Result<Proven, WalletError> {
        let proven = self.ledger.rows(keys).await?;
        self.keep_light()?;
        Ok(proven)
    }

    /// Proven rows for several questions, each over a connection of its own as any question is, some at once. What is proven is handed to `each` with
    /// its question's place, in the order in which it comes. After the first that nobody answers no more are asked: the rest is not proven either.
    ///
    /// # Errors
    /// Those of `each`.
    pub(crate) async fn rows_of_each(
        &mut self,
        questions: Vec<Vec<StateKey>>,
        mut each: impl FnMut(usize, Result<Proven, WalletError>) -> Result<(), WalletError>,
    ) -> Result<(), WalletError> {
        let mut left: BTreeSet<usize> = (0..questions.len()).collect();
        let (ledger, mut next) = (self.ledger.clone(), questions.into_iter().enumerate());
        let mut asked = FuturesUnordered::<BoxFuture<'_, _>>::new();
        loop {
            while asked.len() < ASKED_AT_ONCE
                && let Some((place, keys)) = next.next()
            {
                let mut ledger = ledger.clone();
                asked.push(Box::pin(async move {
                    let proven = ledger.prove(&keys).await;
                    (place, ledger, proven)
                }));
            }
            let Some((place, ledger, proven)) = asked.next().await else { break };
            self.ledger.learn(ledger)?;
            left.remove(&place);
            let is_silent = matches!(proven, Err(WalletError::NoRelay(_) | WalletError::NoBlock));
            each(place, proven)?;
            if is_silent {
                break;
            }
        }
        for place in left {
            each(place, Err(WalletError::NoRelay(None)))?;
        }
        self.ledger.follow().await;
        self.keep_directory()?;
        self.keep_light()
    }

    /// Looks how far the ledger is, if that was not just looked up: what is signed tells the day of the newest header that is believed, and is to
    /// tell today's. Should no relay say, or not soon, the day of before has to do: neither consent nor its end waits for it.
    pub(crate) async fn refresh_head(&mut self) {
        if self.now().since(self.ledger.head().time.timestamp()) <= JUST_MS {
            return;
        }
        match timeout(SOON, self.rows(&[StateKey::Head])).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!(%error, "how far the ledger is cannot be looked up"),
            Err(_) => debug!("nobody says soon how far the ledger is"),
        }
    }

    /// Starts afresh from the checkpoint of a code that a hospital handed over, if nothing is believed any more.
    pub(crate) async fn renew(&mut self, checkpoint: &Checkpoint) -> Result<(), WalletError> {
        self.ledger.renew(checkpoint).await?;
        self.keep_light()
    }

    /// Finds the way back, if it was away so long that nothing is believed any more.
    pub(crate) async fn wake(&mut self) -> Result<Option<Woken>, WalletError> {
        let woken = self.ledger.wake().await?;
        if woken.is_some() {
            self.keep_light()?;
        }
        Ok(woken)
    }

    /// Asks every relay how far it is.
    pub(crate) async fn catch_up(&mut self) -> Result<(), WalletError> {
        self.ledger.catch_up().await?;
        self.keep_light()
    }

    /// Keeps what is believed of the chain, and what was learned of where relays are.
    pub(crate) fn keep_light(&mut self) -> Result<(), WalletError> {
        let learned = self.ledger.take_learned();
        Ok(self.vault.write(|batch| {
            if learned {
                batch.put(b"", self.ledger.directory())?;
                batch.put(b"", self.ledger.identities())?;
            }
            batch.put(b"", self.ledger.light())
        })?)
    }

    /// Keeps what was learned of where relays are, if something was.
    pub(crate) fn keep_directory(&mut self) -> Result<(), WalletError> {
        if self.ledger.take_learned() {
            self.vault.write(|batch| {
                batch.put(b"", self.ledger.directory())?;
                batch.put(b"", self.ledger.identities())
            })?;
        }
        Ok(())
    }

    /// Submits a grant that somebody signed without a network, and waits until it is final.
    pub(crate) async fn submit_grant(&mut self, code: &GrantCode) -> Result<Height, WalletError> {
        code.check(&self.chain())?;
        let height = self.ledger.submit(&code.envelope, &[]).await?;
        self.keep_light()?;
        Ok(height)
    }

    /// See [`revoke`].
    pub(crate) async fn revoke(&mut self, envelope: &Envelope, source: SourceId) -> Revocation {
        revoke(&mut self.ledger, envelope, source).await
    }

    /// The source's operational key now, and those of these signers that were it formerly, proven.
    pub(crate) async fn keys_of(&mut self, source: SourceId, mut signers: Vec<Key>) -> Result<Vec<Key>, WalletError> {
        signers.sort_unstable();
        signers.dedup();
        signers.truncate(MAX_FORMER_KEYS);
        let mut asked = vec![StateKey::Head, StateKey::Source(source)];
        asked.extend(signers.iter().copied().map(StateKey::KeyUse));
        let proven = self.rows(&asked).await?;
        let (_, now) = source_in(&proven, source)?;
        let mut keys = vec![now];
        for key in signers {
            let row: Option<KeyUse> = proven.rows.row(&StateKey::KeyUse(key))?;
            if row.is_some_and(|row| row.source == source && row.role == KeyRole::Operational) {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// A source as the ledger has it, with its operational key now.
    pub(crate) async fn source(&mut self, id: SourceId) -> Result<(Source, Key), WalletError> {
        let proven = self.rows(&[StateKey::Head, StateKey::Source(id)]).await?;
        source_in(&proven, id)
    }
}

/// Whether the words at these places are told, in their order.
pub(crate) fn is_told(words: &Words, places: [u8; 3], typed: &str) -> bool {
    let (words, lower) = (words.reveal(), Zeroizing::new(typed.to_lowercase()));
    let all: Vec<&str> = words.split(' ').collect();
    let right: Vec<&str> = places.iter().filter_map(|at| all.get(usize::from(*at).checked_sub(1)?).copied()).collect();
    lower.split_whitespace().eq(right)
}

/// Three places of a wallet's words, by chance.
pub(crate) fn three_words() -> Result<[u8; 3], WalletError> {
    Ok(three_of(COUNT_OF_WORDS, random()?))
}

/// Three different places of so many, counted from 1, in order.
fn three_of(count: u8, random: [u8; 8]) -> [u8; 3] {
    let mut left: Vec<u8> = (1..=count).collect();
    let mut random = u64::from_le_bytes(random);
    let mut three = [0; 3];
    for one in &mut three {
        let len = left.len() as u64;
        *one = left.swap_remove(usize::try_from(random % len).unwrap_or(0));
        random /= len;
    }
    three.sort_unstable();
    three
}

/// A source in proven rows, with its operational key now.
pub(crate) fn source_in(proven: &Proven, id: SourceId) -> Result<(Source, Key), WalletError> {
    let epoch = proven.rows.head()?.epoch;
    let source = proven.rows.source(id)?.ok_or(WalletError::NoSource)?;
    let operational = source.keys_in(epoch).operational;
    Ok((source, operational))
}

/// What the source gave for a revocation, not verified yet, and what became of it.
pub(crate) type Revocation = (Option<ReceiptGiven>, Result<Height, WalletError>);

/// Submits a revocation, and waits until it is final. It is also brought to the study's source itself, over iroh,
/// while the relays are asked: so it binds there whether or not a relay is reached, and no flood of what relays
/// serve keeps it out. What the source gave for it, not verified yet, stands beside what became of it.
pub(crate) async fn revoke(ledger: &mut Ledger, envelope: &Envelope, source: SourceId) -> Revocation {
    // What it learns of newer blocks the other learns too.
    let mut aside = ledger.clone();
    let mut telling = Box::pin(tell(&mut aside, envelope, source));
    let (mut told, mut receipt) = (false, None::<ReceiptGiven>);
    let first = [source];
    let mut submitting = Box::pin(ledger.submit_for_receipt(envelope, &first));
    let submitted = loop {
        tokio::select! {
            submitted = &mut submitting => break submitted,
            given = &mut telling, if !told => (told, receipt) = (true, given),
        }
    };
    match submitted {
        Ok(Submitted { height, receipt: given }) => {
            let mut receipt = given.map(|receipt| ReceiptGiven { receipt, proven: None }).or(receipt);
            if receipt.is_none() && !told {
                // The others were faster than the source, which is being told still.
                receipt = timeout(GIVEN, telling).await.ok().flatten();
            }
            (receipt, Ok(height))
        }
        Err(error) => (if told { receipt } else { telling.await }, Err(error)),
    }
}

/// Gives a revocation to relays and to its source once, and does not wait until it is final.
pub(crate) async fn hand_over(ledger: &mut Ledger, envelope: &Envelope, source: SourceId) -> Revocation {
    let (mut aside, first) = (ledger.clone(), [source]);
    let (receipt, offered) = tokio::join!(tell(&mut aside, envelope, source), ledger.offer(envelope, &first));
    (receipt, offered.and_then(|height| height.ok_or(WalletError::NotFinal)))
}

/// A receipt that was given for a revocation, not verified.
pub(crate) struct ReceiptGiven {
    pub(crate) receipt: SignedReceipt,
    /// The source's operational key, if the ledger has proven just now where the source is and which keys it has.
    pub(crate) proven: Option<Key>,
}

/// Brings a revocation to a source itself, where the ledger says it is; where no relay proves that, where it was when that was last
/// looked up, which may be somebody else's by now. What it gave for it, if it was reached and did.
async fn tell(ledger: &mut Ledger, envelope: &Envelope, source: SourceId) -> Option<ReceiptGiven> {
    let proven = match timeout(WHERE, ledger.prove(&[StateKey::Head, StateKey::Source(source)])).await {
        Ok(Ok(proven)) => {
            source_in(&proven, source).and_then(|(row, key)| Ok((served_at(&proven, &row)?, Some(key)))).ok()
        }
        _ => None,
    };
    let (remote, proven) = proven.or_else(|| Some((ledger.last_served(&source)?, None)))?;
    match revoke::deliver(&remote, envelope).await {
        Ok(Response::Bound { receipt, .. }) => Some(ReceiptGiven { receipt: *receipt, proven }),
        Ok(_) => {
            debug!("the source gives no receipt for a revocation");
            None
        }
        Err(error) => {
            debug!(%error, "the source was not told of a revocation");
            None
        }
    }
}

/// Where a source's images are served.
pub(crate) fn served_at(proven: &Proven, source: &Source) -> Result<Remote, WalletError> {
    let epoch = proven.rows.head()?.epoch;
    let addresses = source.announced.addresses.iroh.iter().map(clavicle_ledger::encoding::Text::as_str);
    Ok(Remote::announced(source.keys_in(epoch).transfer, addresses))
}

/// A wallet that lacks what every wallet has: making it was interrupted, too.
pub(crate) const fn damaged() -> WalletError {
    WalletError::Vault(VaultError::Damaged { what: "the profile", error: None })
}

pub(crate) fn random<const LEN: usize>() -> Result<[u8; LEN], WalletError> {
    random::random().map_err(WalletError::Random)
}

#[cfg(test)]
mod tests {
    use super::three_of;

    #[test]
    fn three_different_words_are_asked_for_and_any_may_be() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..4_000u64 {
            let three = three_of(24, number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            assert!(three[0] >= 1 && three[0] < three[1] && three[1] < three[2] && three[2] <= 24, "{three:?}");
            seen.extend(three);
        }
        assert_eq!(seen.len(), 24);
    }
}
