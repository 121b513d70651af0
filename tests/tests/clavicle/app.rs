//! The application without a screen, against real hospitals: what a phone and a desktop do, by commands, state and events alone.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clavicle_app::{
    App, AskWho, Event, FetchGranted, FetchOwn, ForgetCopy, GrantStudy, OpenGranted, OpenOwn, PickUp, ReadInbox,
    RevokeGrant, Running, ShowCard, Trouble, TroubleKind,
};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::{DAY_MS, LocalTime, Timestamp};
use clavicle_letters::card::SignedCard;
use clavicle_letters::code;
use clavicle_letters::pickup::PickupCode;
use clavicle_network::file::read_genesis;
use clavicle_network::transfer::{Item, Pace};
use clavicle_wallet::patient::GrantRequest;
use clavicle_wallet::rows::Stage;
use clavicle_wallet::vault::{KeyStore, Passphrase};
use clavicle_workstation::usage::{UsableStudy, Usage, UsageError};
use tokio::time::timeout;

use crate::cluster::{Cluster, brain};
use crate::people::PIN;
use crate::process::PATIENCE;

const MERCY: usize = 0;
pub(crate) const REQUEST: GrantRequest = GrantRequest::new(7 * DAY_MS, PurposeOfUse::Treatment);
/// Instants at which something is cancelled, in milliseconds after it was asked for.
const INSTANTS: [u64; 5] = [0, 1, 5, 20, 60];

#[expect(clippy::disallowed_methods, reason = "people have clocks")]
pub(crate) fn clock() -> LocalTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    LocalTime(Timestamp(since.as_millis().try_into().unwrap()))
}

pub(crate) fn keys() -> Arc<dyn KeyStore> {
    Arc::new(Passphrase::new("four words of one person".to_owned()).unwrap())
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it did not happen in time")
}

/// Waits for a command that is to be done.
pub(crate) async fn done<C: clavicle_app::Ask>(running: Result<Running<C>, Trouble>) -> C::Done {
    soon(running.unwrap().ended()).await.unwrap()
}

/// Four hospitals, and somebody's study at the first.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    genesis: Genesis,
    pub(crate) study: StudyId,
    code: PickupCode,
}

impl World {
    pub(crate) fn new() -> Self {
        let cluster = Cluster::running();
        brain(&cluster, "images", 1..=6);
        let study = cluster.ingest(MERCY, "images");
        let code = code::from_text(&cluster.issue(MERCY, &study)).unwrap();
        let genesis = read_genesis(&cluster.path("network.json")).unwrap();
        Self { cluster, genesis, study: study.parse_id(), code }
    }

    pub(crate) async fn patient(&self, name: &str) -> App {
        let folder = self.cluster.path(name);
        soon(App::create_patient(&folder, keys(), self.genesis.clone(), clock)).await.unwrap().0
    }

    pub(crate) async fn recipient(&self, name: &str) -> App {
        self.recipient_at(name, clock).await
    }

    /// One with this clock.
    pub(crate) async fn recipient_at(&self, name: &str, clock: fn() -> LocalTime) -> App {
        let folder = self.cluster.path(name);
        let (app, _) = soon(App::create_recipient(&folder, keys(), self.genesis.clone(), name, clock)).await.unwrap();
        app
    }

    pub(crate) fn pick_up(&self) -> PickUp {
        PickUp { code: self.code.clone(), answer: PIN.to_owned().into(), only_here: false }
    }

    fn grant(&self, card: &SignedCard) -> GrantStudy {
        GrantStudy { study: self.study, card: card.clone(), request: REQUEST, all_the_same: false }
    }
}

/// An id as a hospital writes it.
trait ParseId {
    fn parse_id(&self) -> StudyId;
}

impl ParseId for String {
    fn parse_id(&self) -> StudyId {
        let byte = |at: usize| u8::from_str_radix(&self[2 * at..2 * at + 2], 16).unwrap();
        StudyId::from_bytes(core::array::from_fn(byte))
    }
}

fn card() -> ShowCard {
    ShowCard { keys: 1, days: 7, wish: "brain MR".to_owned() }
}

fn open_granted(world: &World) -> OpenGranted {
    OpenGranted { begin: world.study.to_string() }
}

/// What a window does as the command line does: a copy of what has ended is used only by an explicit word, and that is
/// on record.
async fn used_only_in_spite_of_its_end(rossi: &App, world: &World) {
    let export = Usage::Export { out: Path::new("cd") };
    let open = done(rossi.send(open_granted(world))).await;
    assert!(open.images.is_whole());
    let refused = soon(UsableStudy::permit(rossi, open, export, false)).await.unwrap_err();
    assert!(matches!(refused, UsageError::Objection { what: "exporting it", .. }), "{refused}");
    assert!(rossi.subscribe().borrow().received[0].in_spite_of.is_empty());
    let open = done(rossi.send(open_granted(world))).await;
    let study = soon(UsableStudy::permit(rossi, open, export, true)).await.unwrap();
    assert_eq!(study.in_spite_of().unwrap().state(), "ended");
    let noted = rossi.subscribe().borrow().received[0].in_spite_of.clone();
    assert!(noted.len() == 1 && noted[0].what.as_str() == "exported to cd");
}

#[tokio::test]
async fn a_patient_and_a_recipient_need_nothing_but_commands_and_state() {
    let world = World::new();
    let (ana, rossi) = (world.patient("ana").await, world.recipient("rossi").await);
    let picked_up = done(ana.send(world.pick_up())).await;
    assert!(picked_up.studies.len() == 1 && picked_up.not_offered.is_empty());
    {
        let state = ana.subscribe();
        let state = state.borrow();
        let [row] = state.studies.as_slice() else { panic!("{} studies", state.studies.len()) };
        assert!(row.study == world.study && row.final_at.is_some() && row.objection.is_none());
        assert_eq!(row.summary.as_ref().unwrap().instances, 6);
    }

    let card = done(rossi.send(card())).await;
    let granted = done(ana.send(world.grant(&card))).await;
    assert!(matches!(ana.subscribe().borrow().grants[0].stage, Stage::Delivered(_)));
    let read = done(rossi.send(ReadInbox {})).await;
    assert_eq!((read.new.as_slice(), read.unread, read.mailboxes), (&[granted.id][..], 0, 1));
    assert!(read.silent.is_empty() && read.not_asked.is_none());
    assert!(rossi.subscribe().borrow().received[0].objection.is_none());

    read_while_it_comes(&rossi, granted.id, &world.cluster.path("images")).await;
    assert!(rossi.subscribe().borrow().received[0].copy.is_some());
    let open = done(rossi.send(open_granted(&world))).await;
    assert!(open.images.is_whole() && open.objection.is_none() && open.not_asked.is_none());
    // All of it is here: nothing was fetched, and no receipt says that it was.
    assert!(open.fetched.is_none());
    let own = done(ana.send(OpenOwn { study: world.study })).await;
    assert!(own.images.is_whole() && own.fetched.is_some_and(|fetched| fetched.is_complete()));

    let who = done(ana.send(AskWho { study: world.study })).await;
    assert_eq!(who.access.grants.len(), 1);
    assert!(!who.looks.is_empty() && who.not_asked.is_none());
    let revoked = done(ana.send(RevokeGrant { grant: granted.id.to_string() })).await;
    assert_eq!((revoked.grant, revoked.name.as_deref()), (granted.id, Some("rossi")));
    assert!(revoked.receipt.is_some());
    assert!(matches!(ana.subscribe().borrow().grants[0].revoked, Some(Some(_))));

    // Why it is not there any more the ledger says, and so does the state.
    let told = async {
        // The relay that is asked may be a block behind.
        while rossi.subscribe().borrow().received[0].objection.is_none() {
            done(rossi.send(ReadInbox {})).await;
        }
    };
    soon(told).await;
    assert_eq!(rossi.subscribe().borrow().received[0].objection.unwrap().state(), "ended");
    used_only_in_spite_of_its_end(&rossi, &world).await;
    let again = rossi.send(FetchGranted { grant: granted.id, out: None }).unwrap();
    let trouble = soon(again.ended()).await.unwrap_err();
    assert_eq!((trouble.kind, trouble.support.as_str()), (TroubleKind::Ended, "ended.GrantGone"));
    assert!(!trouble.happened.contains("command") && !trouble.advice().is_empty(), "{trouble:?}");

    // What is a patient's to do a recipient does not.
    let trouble = soon(rossi.send(AskWho { study: world.study }).unwrap().ended()).await.unwrap_err();
    assert_eq!(trouble.support, "kind.OtherKind");
    assert!(done(rossi.send(ForgetCopy { study: world.study })).await);
    ana.close().await;
    rossi.close().await;
}

/// Fetches, pauses before anything came, orders, and reads what is whole from two places before it has ended.
async fn read_while_it_comes(rossi: &App, grant: GrantId, original: &Path) {
    let fetching = rossi.send(FetchGranted { grant, out: None }).unwrap();
    let control = fetching.control().clone();
    control.pause();
    let mut progress = control.progress();
    let images = soon(progress.wait_for(|progress| progress.images.is_some())).await.unwrap().images.clone().unwrap();
    let items = images.listing().items();
    assert!(items.iter().all(|item| !images.has(item)), "nothing was asked for");
    let mut state = rossi.subscribe();
    let is_paused = |state: &clavicle_app::State| {
        state.running.iter().any(|row| row.pace == Pace::Paused && row.parts == (0, 6) && row.study.is_some())
    };
    soon(state.wait_for(is_paused)).await.unwrap();
    // Others are served meanwhile.
    done(rossi.send(ReadInbox {})).await;
    assert!(is_paused(&rossi.subscribe().borrow()));

    let Item::Instance(last) = items[5] else { panic!("a report") };
    control.order(vec![last.sop_instance_uid]);
    control.resume();
    let mut whole = control.whole();
    soon(whole.wait_for(|whole| whole.contains(5))).await.unwrap();
    let read = |images: &clavicle_wallet::cache::Images| {
        let mut bytes = Vec::new();
        images.read(&items[5]).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let is_original = |bytes: Vec<u8>| {
        std::fs::read_dir(original).unwrap().any(|entry| std::fs::read(entry.unwrap().path()).unwrap() == bytes)
    };
    assert!([&images, &images.clone()].into_iter().all(|images| is_original(read(images))));
    let fetched = soon(fetching.ended()).await.unwrap();
    assert!(fetched.comparison.is_complete(), "{fetched:?}");
    assert!(images.is_whole() && whole.borrow().len() == 6);
}

/// Asks for something, cancels it at several instants, asks again each time, and at last lets it be done.
pub(crate) async fn at_any_instant<C: clavicle_app::Ask>(app: &App, command: impl Fn() -> C) -> C::Done {
    for ms in INSTANTS {
        let running = app.send(command()).unwrap();
        let (control, mut ended) = (running.control().clone(), Box::pin(running.ended()));
        if let Ok(ended) = timeout(Duration::from_millis(ms), &mut ended).await {
            return ended.unwrap();
        }
        control.cancel();
        match soon(ended).await {
            Ok(done) => return done,
            Err(trouble) => assert_eq!(trouble.kind, TroubleKind::Cancelled, "{trouble:?}"),
        }
    }
    soon(app.send(command()).unwrap().ended()).await.unwrap()
}

#[tokio::test]
async fn whatever_is_cancelled_at_whatever_instant_is_done_once_when_it_is_asked_for_again() {
    let world = World::new();
    let (ana, rossi) = (world.patient("ana").await, world.recipient("rossi").await);
    at_any_instant(&ana, || world.pick_up()).await;
    assert_eq!(ana.subscribe().borrow().studies.len(), 1);
    let card = at_any_instant(&rossi, card).await;
    at_any_instant(&ana, || world.grant(&card)).await;
    let who = at_any_instant(&ana, || AskWho { study: world.study }).await;
    assert_eq!(who.access.grants.len(), 1, "granted once");
    let grant = who.access.grants[0].grant;
    at_any_instant(&rossi, || ReadInbox {}).await;
    assert_eq!(rossi.subscribe().borrow().received.len(), 1);

    // Nothing half is visible: no file, and no copy, until it was fetched whole.
    let out = world.cluster.path("out");
    let fetching = rossi.send(FetchGranted { grant, out: Some(out.clone()) }).unwrap();
    fetching.control().pause();
    let mut progress = fetching.control().progress();
    soon(progress.wait_for(|progress| progress.images.is_some())).await.unwrap();
    fetching.control().cancel();
    assert_eq!(soon(fetching.ended()).await.unwrap_err().kind, TroubleKind::Cancelled);
    assert!(!out.exists() && rossi.subscribe().borrow().received[0].copy.is_none());
    let fetched = at_any_instant(&rossi, || FetchGranted { grant, out: Some(out.clone()) }).await;
    assert!(fetched.comparison.is_complete() && fetched.folder.is_some(), "{fetched:?}");
    assert!(at_any_instant(&ana, || FetchOwn { study: world.study, out: None }).await.comparison.is_complete());

    at_any_instant(&ana, || RevokeGrant { grant: grant.to_string() }).await;
    let who = done(ana.send(AskWho { study: world.study })).await;
    assert!(who.access.grants.is_empty());
    ana.close().await;
    rossi.close().await;
}

#[tokio::test]
async fn a_revocation_waits_for_nothing_and_a_wallet_that_is_closed_lets_go_of_its_folder() {
    let world = World::new();
    let (ana, rossi) = (world.patient("ana").await, world.recipient("rossi").await);
    done(ana.send(world.pick_up())).await;
    let card = done(rossi.send(card())).await;
    let granted = done(ana.send(world.grant(&card))).await;

    // A fetch that is on its way, two questions before it, and then the revocation.
    let fetching = ana.send(FetchOwn { study: world.study, out: None }).unwrap();
    fetching.control().pause();
    let mut progress = fetching.control().progress();
    soon(progress.wait_for(|progress| progress.images.is_some())).await.unwrap();
    let mut events = ana.events();
    let asked = [(); 2].map(|()| ana.send(AskWho { study: world.study }).unwrap());
    let second = ana.send(FetchOwn { study: world.study, out: None }).unwrap();
    let revoking = ana.send(RevokeGrant { grant: granted.id.to_string() }).unwrap();
    let first_to_end = async {
        loop {
            if let Event::Ended { id, trouble } = events.recv().await.unwrap() {
                return (id, trouble);
            }
        }
    };
    assert_eq!(soon(first_to_end).await, (revoking.id(), None));
    soon(revoking.ended()).await.unwrap();
    for asked in asked {
        assert!(soon(asked.ended()).await.unwrap().access.grants.is_empty(), "asked again after it");
    }
    // One study is fetched once at a time.
    assert_eq!(soon(second.ended()).await.unwrap_err().kind, TroubleKind::Busy);
    assert!(ana.subscribe().borrow().running.iter().any(|row| row.id == fetching.id() && row.pace == Pace::Paused));

    // Closed in the midst: whoever waits is told, nothing is lost, and the folder can be opened at once.
    let waiting = ana.send(AskWho { study: world.study }).unwrap();
    soon(ana.close()).await;
    assert_eq!(soon(fetching.ended()).await.unwrap_err().kind, TroubleKind::Cancelled);
    assert_eq!(soon(waiting.ended()).await.unwrap_err().kind, TroubleKind::Cancelled);
    let ana = soon(App::open_patient(&world.cluster.path("ana"), keys(), clock)).await.unwrap();
    assert_eq!(ana.subscribe().borrow().studies.len(), 1);
    assert!(done(ana.send(FetchOwn { study: world.study, out: None })).await.comparison.is_complete());
    // With the last handle it closes by itself.
    drop(ana);
    let reopened = async {
        loop {
            match App::open_patient(&world.cluster.path("ana"), keys(), clock).await {
                Ok(app) => return app,
                Err(trouble) => assert_eq!(trouble.support, "vault.Vault.InUse"),
            }
        }
    };
    soon(reopened).await.close().await;
    let wrong = Arc::new(Passphrase::new("other words of nobody".to_owned()).unwrap());
    let trouble = soon(App::open_recipient(&world.cluster.path("ana"), wrong, clock)).await.unwrap_err();
    assert_eq!((trouble.kind, trouble.support.as_str()), (TroubleKind::Passphrase, "passphrase.Vault.WrongPassphrase"));
    rossi.close().await;
}
