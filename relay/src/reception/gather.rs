//! Gathering: what came around the same time goes into the archive together.

use std::collections::BTreeSet;
use std::fs;
use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use clavicle_imaging::intake::{Intake, StudyIntake};
use clavicle_imaging::reason::Quarantined;
use clavicle_ledger::time::{HOUR_MS, Timestamp};

use super::incoming::Incoming;
use super::watch::Watched;
use crate::archive::{ArchiveError, Origin, Taken};
use crate::home::IntakeSettings;
use crate::loggable::{file_name, without_uids};
use crate::quarantine::Copied;
use crate::seldom::seldom;
use crate::service::Service;

/// When nothing came for so long, what is there is taken in.
const QUIET: Duration = Duration::from_secs(2);
/// When something waited for so long, it is taken in although more is coming.
const LONGEST: Duration = Duration::from_secs(10);
/// How often watched folders are looked at, and open studies.
const SELDOM: Duration = Duration::from_secs(2);
/// How long nothing is tried after the archive or its disk failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most files that are taken in at once.
const MOST: usize = 4_096;

/// Takes in what came.
pub(super) struct Gather {
    service: Service,
    spool: PathBuf,
    incoming: Arc<Incoming>,
    watched: Vec<Watched>,
    /// For how long nothing must have come for a study to be closed, in ms.
    close_after_ms: Option<u64>,
    looked: Option<Instant>,
    failed: Option<Instant>,
    /// Files of watched folders that were refused and of which there was no room for a copy in quarantine.
    unkept: BTreeSet<PathBuf>,
    /// When that was last so.
    unkept_at: Option<Instant>,
}

impl Gather {
    pub(super) fn new(service: Service, spool: PathBuf, settings: &IntakeSettings, incoming: Arc<Incoming>) -> Self {
        let watched = settings.watch.iter().map(|folder| Watched::new(folder)).collect();
        let close_after_ms = settings.close_after_hours.map(|hours| u64::from(hours).saturating_mul(HOUR_MS));
        Self {
            service,
            spool,
            incoming,
            watched,
            close_after_ms,
            looked: None,
            failed: None,
            unkept: BTreeSet::new(),
            unkept_at: None,
        }
    }

    /// Looks at what came, and takes in what is ready.
    pub(super) fn tick(&mut self) {
        if self.failed.is_some_and(|failed| failed.elapsed() < PATIENCE) {
            return;
        }
        self.failed = None;
        if let Some(files) = self.received() {
            self.take(files, Origin::Own);
        }
        if self.looked.is_some_and(|looked| looked.elapsed() < SELDOM) {
            return;
        }
        self.looked = Some(Instant::now());
        if self.unkept_at.is_some_and(|at| at.elapsed() >= PATIENCE)
            && self.service.images.quarantine.has_room_for_copy(0)
        {
            self.unkept_at = None;
            let unkept: Vec<PathBuf> = take(&mut self.unkept).into_iter().collect();
            self.watched.iter_mut().for_each(|watched| watched.again(&unkept));
        }
        let ready: Vec<PathBuf> = self.watched.iter_mut().flat_map(Watched::ready).collect();
        if !ready.is_empty() && !self.take(ready.clone(), Origin::Watched) {
            self.watched.iter_mut().for_each(|watched| watched.again(&ready));
        }
        if let Some(after) = self.close_after_ms
            && let Err(error) = self.close(after)
        {
            seldom!(warn!(%error, "studies could not be closed"));
        }
    }

    /// Tries nothing for a while.
    pub(super) fn wait(&mut self) {
        self.failed = Some(Instant::now());
    }

    /// The files in the spool, when it is time to take them in.
    fn received(&self) -> Option<Vec<PathBuf>> {
        let mut files = Vec::new();
        let (mut newest, mut oldest) = (Duration::MAX, Duration::ZERO);
        for entry in fs::read_dir(&self.spool).ok()?.flatten().take(MOST) {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "dcm") {
                continue;
            }
            // One whose age cannot be told waits for nothing.
            let written = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            #[expect(clippy::disallowed_methods, reason = "a file's age, which only the system's clock can tell")]
            let age = written.and_then(|written| SystemTime::now().duration_since(written).ok()).unwrap_or(LONGEST);
            (newest, oldest) = (newest.min(age), oldest.max(age));
            files.push(path);
        }
        let is_time = newest >= QUIET || oldest >= LONGEST || files.len() >= MOST;
        files.sort();
        (is_time && !files.is_empty()).then_some(files)
    }

    /// Takes files in, and says whether there was room and a disk for all of them.
    fn take(&mut self, files: Vec<PathBuf>, origin: Origin) -> bool {
        let given = files.len();
        let intake = Intake::of_files(files, &*self.service.images.reader);
        let mut taken_in = BTreeSet::new();
        let mut told = [0usize; 3];
        for study in &intake.studies {
            let conflicts = intake.conflicts_of(&study.study_instance_uid);
            match self.service.images.archive.take(
                study,
                &conflicts,
                origin,
                &self.service.member.signer((self.service.clock)().0),
            ) {
                Ok(Taken::Late(_)) => {
                    let why = "its study was closed; add it by hand with `clavicle-relay ingest`, if it belongs there";
                    self.put_aside(study, origin, why, why);
                }
                Ok(taken) => {
                    told[match taken {
                        Taken::New(_) => 0,
                        Taken::Grown(_) => 1,
                        _ => 2,
                    }] += 1;
                    taken_in.insert(study.study_instance_uid);
                    match self.service.images.archive.shared_names(taken.study()) {
                        Ok(shared) if shared.is_empty() => {}
                        // Which, `contradictions` says.
                        Ok(shared) => seldom!(warn!(
                            instances = shared.len(),
                            "a study has instances under names that another study has too"
                        )),
                        Err(error) => {
                            seldom!(error!(%error, "whether another study has the same instances cannot be told"));
                        }
                    }
                    files_of(study)
                        .chain(conflicts.iter().map(|one| one.path.as_path()))
                        .for_each(|path| self.done(path, origin));
                }
                // Neither the sender nor the file is to blame, and what was acknowledged stays until it is in.
                Err(error @ (ArchiveError::Store(_) | ArchiveError::File { .. } | ArchiveError::Random(_))) => {
                    seldom!(error!(%error, "what was received cannot be taken in; it is tried again in a while"));
                    self.wait();
                    return false;
                }
                Err(error) => self.put_aside(study, origin, &error.in_log(), &error.on_screen()),
            }
        }
        intake.duplicates.iter().for_each(|one| self.done(&one.path, origin));
        for conflict in intake.conflicts.iter().filter(|one| !taken_in.contains(&one.study_instance_uid)) {
            let why = format!("it contradicts another instance ({})", conflict.change);
            self.put_one_aside(&conflict.path, origin, &why, &why);
        }
        for Quarantined { path, reason } in &intake.quarantined {
            self.put_one_aside(path, origin, &without_uids(&reason.to_string()), &reason.on_screen());
        }
        // Revisions of studies that somebody holds go to the ledger.
        self.service.store.note();
        let [new, grown, known] = told;
        // As many are given as are instances and of these; which, is with each of them.
        let (duplicates, conflicts) = (intake.duplicates.len(), intake.conflicts.len());
        let (quarantined, contents) = (intake.quarantined.len(), intake.contents.len());
        seldom!(info!(
            given,
            new,
            grown,
            known,
            duplicates,
            conflicts,
            quarantined,
            contents,
            elsewhere = intake.elsewhere.len(),
            "took in what came"
        ));
        true
    }

    fn put_aside(&mut self, study: &StudyIntake, origin: Origin, why: &str, on_screen: &str) {
        files_of(study).for_each(|path| self.put_one_aside(path, origin, why, on_screen));
    }

    /// What is this relay's own goes into quarantine, with what is said `on_screen`; of what is somebody's a copy does. The log says `why`.
    fn put_one_aside(&mut self, path: &Path, origin: Origin, why: &str, on_screen: &str) {
        if origin != Origin::Own {
            self.copy_aside(path, why, on_screen);
            return;
        }
        // It was acknowledged, and so it is kept; its sender is told with the next one when that is too much.
        let sender = self.incoming.sender(path);
        match self.service.images.quarantine.keep(path, on_screen, sender.as_ref(), (self.service.clock)()) {
            Ok(kept) => {
                let from = sender.map(|sender| sender.line()).unwrap_or_default();
                seldom!(warn!(kept, from, why, "what was received cannot be taken in, and is kept in quarantine"));
                self.incoming.gone(path);
            }
            Err(error) => seldom!(error!(%error, why, "what cannot be taken in cannot be put into quarantine either")),
        }
    }

    /// A file in a watched folder stays where it is.
    fn copy_aside(&mut self, path: &Path, why: &str, on_screen: &str) {
        let (file, images) = (file_name(path), &self.service.images);
        let folder = self.watched.iter().map(Watched::folder).find(|folder| path.starts_with(folder)).unwrap_or(path);
        let copied = images.quarantine.keep_copy(path, folder, on_screen, &images.room, (self.service.clock)());
        let folder = folder.display();
        match copied {
            Ok(Copied::New(kept)) => {
                seldom!(
                    warn!(file, %folder, kept, why, "a file in a watched folder is not taken in; a copy is in quarantine")
                );
            }
            Ok(Copied::Before) => {
                seldom!(info!(file, %folder, why, "a file in a watched folder is not taken in, as before"));
            }
            Ok(Copied::NoRoom) => {
                seldom!(
                    warn!(file, %folder, why, "a file in a watched folder is not taken in, and the quarantine has no room for a copy")
                );
                self.try_later(path);
            }
            Err(error) => {
                seldom!(
                    error!(file, %folder, %error, why, "a file in a watched folder is not taken in, and cannot be copied into quarantine")
                );
                self.try_later(path);
            }
        }
    }

    fn try_later(&mut self, path: &Path) {
        if self.unkept.len() < MOST {
            self.unkept.insert(path.to_owned());
        }
        self.unkept_at = Some(Instant::now());
    }

    /// It is in the archive: the one in the spool is no longer needed.
    fn done(&self, path: &Path, origin: Origin) {
        if origin != Origin::Own {
            return;
        }
        match fs::remove_file(path) {
            Ok(()) => self.incoming.gone(path),
            Err(error) => {
                seldom!(
                    warn!(%error, "what was taken in cannot be removed; it is taken in again, which changes nothing")
                );
            }
        }
    }

    fn close(&self, after_ms: u64) -> Result<(), ArchiveError> {
        let now = (self.service.clock)().0;
        for study in self.service.images.archive.quiet_since(Timestamp(now.0.saturating_sub(after_ms)))? {
            self.service.images.archive.close(study, &self.service.member.signer((self.service.clock)().0))?;
            self.service.store.note();
        }
        Ok(())
    }
}

fn files_of(study: &StudyIntake) -> impl Iterator<Item = &Path> {
    study.series.iter().flat_map(|series| &series.instances).map(|one| one.path.as_path())
}
