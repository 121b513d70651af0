//! The story: each step begins, happens, and is told with what was measured. One that goes otherwise than it must ends it; so
//! does one in which somebody is refused for the wrong reason.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clavicle_command::said::sentences;
use clavicle_ledger::authorise::{Claim, Hello, Refused};
use clavicle_ledger::encoding::Text;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::{DAY_MS, LocalTime};
use clavicle_letters::card::SignedCard;
use clavicle_letters::code::{self, Code};
use clavicle_letters::pickup::PickupCode;
use clavicle_network::endpoint::{Remote, bind_towards};
use clavicle_network::pickup::{Denied, PickupError};
use clavicle_network::transfer::{self, FetchError, Reference};
use clavicle_phantom::Phantom;
use clavicle_relay::control;
use clavicle_relay::home::HomeError;
use clavicle_relay::operations::explain::Explain;
use clavicle_relay::operations::ingest::{Ingest, Ingested};
use clavicle_relay::operations::pickup::{Pickup, Seen, VisitRequest};
use clavicle_relay::operations::studies::{Studies, StudyRow};
use clavicle_relay::refusals::Refusal;
use clavicle_wallet::WalletError;
use clavicle_wallet::patient::{GrantRequest, Granted as Made, OwnStudy, Patient, Revocable};
use clavicle_wallet::recipient::{Granted, Recipient};
use clavicle_wallet::rows::Stage;
use clavicle_wallet::vault::Passphrase;
use serde_json::json;
use tokio::time::timeout;

use crate::failure::{Failure, PATIENCE, Wrong};
use crate::hospitals::{HOSPITALS, Hospitals, KILLED, SOURCE};
use crate::telling::Telling;

const PIN: &str = "4711";
const WRONG_PIN: &str = "1147";

pub(crate) struct Story<'a> {
    pub(crate) hospitals: &'a mut Hospitals,
    pub(crate) telling: &'a mut Telling,
    pub(crate) genesis: Genesis,
    pub(crate) clock: fn() -> LocalTime,
    /// What opens all wallets.
    pub(crate) passphrase: Passphrase,
}

/// Whoever asks a hospital straight: with which key, for what, where.
type Asker<'a> = (&'a SecretKey, &'a Granted, &'a Remote);

impl Story<'_> {
    /// Tells all of it; gives the study that it was about.
    pub(crate) async fn tell(&mut self, dicom: Option<&Path>) -> Result<OwnStudy, Failure> {
        let row = self.take_in(dicom).await?;
        let (mut ana, study, code) = Box::pin(self.pick_up(&row)).await?;
        let (mut rossi, mut made, granted) = Box::pin(self.grant(&mut ana, &study)).await?;
        Box::pin(self.fetch(&mut rossi, &granted)).await?;
        Box::pin(self.stranger(&granted)).await?;
        Box::pin(self.who("who has access", &mut ana, &study, &["Dr Rossi"])).await?;
        self.telling.begin("kill");
        self.hospitals.kill(KILLED);
        self.telling.done("Harbor is killed (kill -9). The other three go on.", json!({}));
        let at = Remote::announced(code.transfer, code.addresses.iter().map(Text::as_str));
        let key = rossi.grantee(&granted)?;
        Box::pin(self.revoke(&mut ana, &mut made, (&key, &granted, &at))).await?;
        Box::pin(self.refused(&mut rossi, (&key, &granted, &at))).await?;
        Box::pin(self.who("who has access now", &mut ana, &study, &[])).await?;
        self.telling.begin("comeback");
        let height = self.hospitals.height(SOURCE).await?.unwrap_or_default();
        self.hospitals.start(KILLED)?;
        self.hospitals.reach(height).await?;
        let text = format!("Harbor, killed, came back and caught up to height {height}.");
        self.telling.done(&text, json!({ "height": height }));
        Ok(study)
    }

    /// The first block and the images; gives the study with the most of them.
    async fn take_in(&mut self, dicom: Option<&Path>) -> Result<StudyRow, Failure> {
        self.telling.begin("first block");
        (0..HOSPITALS.len()).try_for_each(|n| self.hospitals.start(n))?;
        self.hospitals.reach(1).await?;
        self.telling.done("Each runs as a process of its own. They agree on their first block.", json!({}));

        self.telling.begin("images");
        let made = self.hospitals.path("scanner");
        if dicom.is_none() {
            Phantom::default().write(&made)?;
        }
        let folder = dicom.unwrap_or(&made);
        let folder = folder.canonicalize().map_err(|error| HomeError::File { path: folder.to_owned(), error })?;
        let (socket, from) = (self.hospitals.socket(SOURCE), Instant::now());
        let taken = control::ask(&socket, &Ingest { folder, report: None, unchecked: false }).await?;
        let Ingested { studies, instances, accounting, .. } = taken;
        let (studies, aside) = (studies.len(), accounting.rest.len());
        let text = format!("Mercy takes in {instances} images of its own; {aside} files are set aside with a reason.");
        let json = json!({ "studies": studies, "instances": instances, "accounting": accounting });
        self.telling.took(from.elapsed(), &text, json);
        let rows = control::ask(&socket, &Studies {}).await?;
        let largest = rows.into_iter().max_by_key(|row| (row.instances, row.bytes, row.study.clone()));
        largest.ok_or_else(|| otherwise("there is no study among the files"))
    }

    async fn pick_up(&mut self, row: &StudyRow) -> Result<(Patient, OwnStudy, PickupCode), Failure> {
        self.telling.begin("pickup code");
        let visit = VisitRequest::Study(row.study.clone());
        let request = Pickup { visit, pin: Some(PIN.to_owned()), hours: 72, seen: Seen::No };
        let answer = control::ask(&self.hospitals.socket(SOURCE), &request).await?;
        let issued = answer.issued.ok_or_else(|| otherwise("the desk gave out no code"))?;
        let picture = self.picture("pickup.png", &issued.code)?;
        let called = if row.description.is_empty() { "no description" } else { &row.description };
        let text = format!("The desk prints a code for Ana's study ({called}), and tells her a PIN.");
        self.telling.done(&text, json!({ "study": row.study }));

        self.telling.begin("wallet");
        let (folder, genesis) = (self.hospitals.path("ana"), self.genesis.clone());
        let (mut ana, _words) = Patient::create(&folder, &self.passphrase, genesis, self.clock)?;
        self.telling.done("Ana makes a wallet on her own device: 24 words, and keys that never leave it.", json!({}));

        self.telling.begin("wrong PIN");
        let code: PickupCode = scanned(&picture)?;
        let left = match ana.pick_up(&code, WRONG_PIN).await {
            Err(WalletError::Pickup(PickupError::Denied(Denied::WrongAnswer { left }))) => left,
            other => return Err(unexpected(other)),
        };
        let text = format!("She scans the code and types a wrong PIN: Mercy shows nothing, {left} tries are left.");
        self.telling.done(&text, json!({ "tries_left": left }));

        self.telling.begin("pickup");
        let study = ana.pick_up(&code, PIN).await?.studies.pop().ok_or_else(|| otherwise("nothing was offered"))?.study;
        let height = study.held.final_at.ok_or(WalletError::StudyNotFinal)?;
        let text = format!("She types the right one: the study is hers, final at height {height} and proven.");
        self.telling.done(&text, json!({ "height": height }));
        self.hospitals.reach(height).await?;
        Ok((ana, study, code))
    }

    async fn grant(&mut self, ana: &mut Patient, study: &OwnStudy) -> Result<(Recipient, Made, Granted), Failure> {
        self.telling.begin("card");
        let (mut rossi, card) = self.recipient("rossi", "Dr Rossi").await?;
        let picture = self.picture("card.png", &code::to_text(&card))?;
        self.telling.done("Dr Rossi makes a wallet and shows a card: a code with a fresh key.", json!({}));

        self.telling.begin("grant");
        let card: SignedCard = scanned(&picture)?;
        let (for_ms, purpose) = (7 * DAY_MS, PurposeOfUse::Treatment);
        let request = GrantRequest::new(for_ms, purpose);
        let made = ana.grant(study, &card, &request, false).await?;
        let Stage::Delivered(height) = made.made.stage else { return Err(WalletError::NotDelivered.into()) };
        let text = format!("Ana lets Dr Rossi fetch for 7 days: final at height {height} and proven, a letter left.");
        self.telling.done(&text, json!({ "grant": made.id.to_string(), "height": height }));
        self.hospitals.reach(height).await?;

        self.telling.begin("letter");
        let granted =
            rossi.read_mail(|_, _| {}).await?.new.pop().ok_or_else(|| otherwise("the letter did not arrive"))?;
        self.telling.done("Dr Rossi collects the letter, which nobody on its way could read.", json!({}));
        Ok((rossi, made, granted))
    }

    async fn fetch(&mut self, rossi: &mut Recipient, granted: &Granted) -> Result<(), Failure> {
        self.telling.begin("fetch");
        let from = Instant::now();
        let fetched = rossi.fetch(granted, Some(&self.hospitals.path("images")), |_, _| {}).await?;
        let (took, bytes, found) = (from.elapsed(), fetched.bytes, &fetched.comparison);
        if !found.is_exact() {
            return Err(otherwise(&found.to_string()));
        }
        let (intact, listed, megabytes) = (found.intact, found.listed, bytes as f64 / 1e6);
        let speed = megabytes / took.as_secs_f64();
        let got = format!("{intact} of {listed} images, {megabytes:.2} MB at {speed:.0} MB/s");
        let json = json!({ "intact": intact, "listed": listed, "bytes": bytes, "mb_per_s": speed });
        self.telling.took(took, &format!("Dr Rossi fetches {got}, every byte as Mercy signed it."), json);
        Ok(())
    }

    /// Somebody knows the whole letter, and has another key than the one that it is about.
    async fn stranger(&mut self, granted: &Granted) -> Result<(), Failure> {
        let (mut stranger, _card) = self.recipient("stranger", "Somebody").await?;
        self.telling.begin("stranger");
        let reference = match stranger.fetch(granted, Some(&self.hospitals.path("stolen")), |_, _| {}).await {
            Err(WalletError::Fetch(FetchError::Refused(Some(reference)))) => reference,
            other => return Err(unexpected(other)),
        };
        let text = format!("A stranger who knows all that the letter says is refused, and told only {reference}.");
        self.telling.done(&text, json!({ "reference": reference.to_string() }));
        self.telling.begin("explanation");
        let why = self.explain(reference, &[Refused::NotGrantee]).await?.reason;
        self.telling.done(&format!("Mercy's operator looks it up: “{why}”."), json!({ "reason": why }));
        Ok(())
    }

    /// Who has access besides the patient: these, or the story ends.
    async fn who(
        &mut self,
        step: &'static str,
        ana: &mut Patient,
        study: &OwnStudy,
        due: &[&str],
    ) -> Result<(), Failure> {
        self.telling.begin(step);
        let access = ana.who(study).await?;
        let name = |name: Option<Text<64>>| name.map_or_else(|| "somebody else".to_owned(), |name| name.to_string());
        let names: Vec<String> = access.grants.into_iter().map(|row| name(row.name)).collect();
        if names != due {
            return Err(otherwise(&format!("these have access: {}", names.join(", "))));
        }
        let who = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
        let (height, age) = (access.height, access.age_ms);
        let text = format!("Ana looks who else has access: {who}. Proven at height {height}, {age} ms old.");
        self.telling.done(&text, json!({ "names": names, "height": height, "age_ms": age }));
        Ok(())
    }

    /// The patient revokes, while the physician asks and asks.
    async fn revoke(&mut self, ana: &mut Patient, made: &mut Made, asker: Asker<'_>) -> Result<(), Failure> {
        self.telling.begin("refusal");
        let (began, from) = ((self.clock)(), Instant::now());
        let revoked = async { Ok::<_, Failure>((ana.revoke(&Revocable::from(&*made)).await?, from.elapsed())) };
        let refused = async {
            loop {
                if let Some(reference) = self.ask(asker).await? {
                    return Ok(reference);
                }
            }
        };
        let both = timeout(PATIENCE, Box::pin(async { tokio::try_join!(revoked, refused) }));
        let ((height, took), reference) = both.await.map_err(|_| Failure::from(Wrong::TooLong))??;
        // When the hospital said no, by its own record: the answer waits for a tick.
        let refusal = self.explain(reference, &[Refused::RevocationSeen, Refused::NoGrant]).await?;
        let after = Duration::from_millis(refusal.at_ms.saturating_sub(began.0.0));
        let json = json!({ "reason": refusal.reason });
        self.telling.took(after, "Ana revokes. From now on Mercy refuses Dr Rossi.", json);
        self.telling.begin("revocation");
        let text = format!("The three hospitals that are left agree: final at height {height} and proven.");
        self.telling.took(took, &text, json!({ "height": height }));
        self.hospitals.reach(height).await
    }

    async fn refused(&mut self, rossi: &mut Recipient, asker: Asker<'_>) -> Result<(), Failure> {
        self.telling.begin("own proof");
        let why = match rossi.fetch(asker.1, Some(&self.hospitals.path("again")), |_, _| {}).await {
            Err(error @ WalletError::GrantGone { .. }) => sentences(&error),
            other => return Err(unexpected(other)),
        };
        let text = format!("Dr Rossi tries again. The ledger's own proof says why not: {why}.");
        self.telling.done(&text, json!({ "reason": why }));

        self.telling.begin("asked straight");
        let reference = self.ask(asker).await?.ok_or_else(|| otherwise("a revoked grant is served"))?;
        let why = self.explain(reference, &[Refused::NoGrant]).await?.reason;
        let text = format!("Mercy, asked straight, refuses too. Its operator sees: “{why}”.");
        self.telling.done(&text, json!({ "reference": reference.to_string(), "reason": why }));
        Ok(())
    }

    /// Asks the hospital straight, past one's own proof: nothing if it would serve, else the reference.
    async fn ask(&self, (key, granted, at): Asker<'_>) -> Result<Option<Reference>, Failure> {
        let (received, chain) = (&granted.received, self.genesis.chain_id());
        let claim = Claim::Grant { grant: granted.id, terms: received.terms.clone() };
        let (source, study) = (received.source, received.study);
        let hello = Hello::new(source, study, claim, (self.clock)().0);
        let endpoint = bind_towards(key, *at.addresses.first().ok_or(WalletError::NoSource)?).await?;
        let answer = transfer::connect(&endpoint, at, &hello.sign(&chain, key)).await;
        endpoint.close().await;
        match answer {
            Ok(_) => Ok(None),
            Err(FetchError::Refused(Some(reference))) => Ok(Some(reference)),
            Err(error) => Err(error.into()),
        }
    }

    /// What the hospital's operator finds under a reference: one of these, or the story ends.
    async fn explain(&self, reference: Reference, due: &[Refused<Infallible>]) -> Result<Refusal, Failure> {
        let reference = reference.to_string();
        let refusal = control::ask(&self.hospitals.socket(SOURCE), &Explain { reference }).await?;
        let is_due = due.iter().any(|refused| refused.to_string() == refusal.reason);
        if is_due { Ok(refusal) } else { Err(otherwise(&refusal.reason)) }
    }

    async fn recipient(&self, folder: &str, name: &str) -> Result<(Recipient, SignedCard), Failure> {
        let (folder, genesis) = (self.hospitals.path(folder), self.genesis.clone());
        let (mut recipient, _words) = Recipient::create(&folder, &self.passphrase, genesis, name, self.clock)?;
        let card = Box::pin(recipient.card(1, 7, "", |_, _| {})).await?;
        Ok((recipient, card))
    }

    /// Writes a code's picture, and gives its path.
    fn picture(&self, name: &str, code: &str) -> Result<PathBuf, Failure> {
        let path = self.hospitals.path(name);
        fs::write(&path, code::to_png(code)?)?;
        Ok(path)
    }
}

/// The code in a picture.
fn scanned<C: Code>(picture: &Path) -> Result<C, Failure> {
    Ok(code::from_text(&code::from_picture(&fs::read(picture)?)?)?)
}

fn otherwise(what: &str) -> Failure {
    Wrong::Otherwise(what.to_owned()).into()
}

/// What should have been refused, and for another reason.
fn unexpected<T>(result: Result<T, WalletError>) -> Failure {
    result.err().map_or_else(|| otherwise("it should have been refused"), Failure::from)
}
