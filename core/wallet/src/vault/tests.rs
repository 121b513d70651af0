use borsh::{BorshDeserialize, BorshSerialize};

use zeroize::Zeroizing;

use super::*;

#[derive(Debug, PartialEq, BorshSerialize, BorshDeserialize)]
struct Note(String);

impl Wire for Note {
    const NAME: &'static str = "a note";
    const MAX_LEN: usize = 64;
}

impl Row for Note {
    const KIND: &'static str = "note";
}

/// The same bytes under another kind.
#[derive(Debug, PartialEq, BorshSerialize, BorshDeserialize)]
struct Other(String);

impl Wire for Other {
    const NAME: &'static str = "another thing";
    const MAX_LEN: usize = 64;
}

impl Row for Other {
    const KIND: &'static str = "other";
}

/// One that nobody guesses.
const LONG: &str = "correct horse of nobody";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).unwrap()
}

/// A vault whose key took no work, for tests of what does not concern the passphrase.
fn quick(folder: &Path) -> Vault {
    let database = Builder::new().create(folder.join("vault.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(ROWS).unwrap();
    transaction.commit().unwrap();
    Vault { folder: PathBuf::new(), key: DataKey::below(&[7; 32]), database }
}

fn note(text: &str) -> Note {
    Note(text.to_owned())
}

#[test]
fn what_was_kept_is_there_after_opening_with_the_passphrase_and_no_other() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("ana");
    assert!(matches!(Vault::open(&folder, &passphrase("a")), Err(VaultError::NotThere(_))));
    let vault = Vault::create(&folder, &passphrase(LONG)).unwrap();
    vault.put(b"1", &note("one")).unwrap();
    assert!(matches!(Vault::open(&folder, &passphrase(LONG)), Err(VaultError::InUse)));
    assert!(matches!(Vault::create(&folder, &passphrase(LONG)), Err(VaultError::Exists(_))));
    drop(vault);
    let error = Vault::open(&folder, &passphrase("correct horse battery")).unwrap_err();
    assert!(matches!(error, VaultError::WrongPassphrase));
    let vault = Vault::open(&folder, &passphrase(LONG)).unwrap();
    assert_eq!(vault.get(b"1").unwrap(), Some(note("one")));
    assert_eq!(format!("{vault:?}"), "Vault(…)");
}

#[test]
fn who_is_killed_while_making_the_rows_makes_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("vault.redb");
    // As redb leaves it before its mark.
    fs::write(&rows, [0; 8192]).unwrap();
    let vault = Vault::create(folder.path(), &passphrase(LONG)).unwrap();
    vault.put(b"1", &note("one")).unwrap();
    drop(vault);
    // Rows are not taken for that.
    fs::remove_file(folder.path().join(passphrase(LONG).file_name())).unwrap();
    assert!(matches!(Vault::create(folder.path(), &passphrase(LONG)), Err(VaultError::KeyLost(_))));
}

/// What a platform keeps, in a file of its own.
struct Held([u8; 32]);

impl KeyStore for Held {
    fn file_name(&self) -> &'static str {
        "vault.held"
    }

    fn check_new(&self) -> Result<(), VaultError> {
        Ok(())
    }

    fn seal(&self, key: &VaultKey) -> Result<Vec<u8>, VaultError> {
        Ok(key.iter().zip(self.0).map(|(key, held)| key ^ held).collect())
    }

    fn unseal(&self, sealed: &[u8]) -> Result<VaultKey, VaultError> {
        let sealed: [u8; 32] = sealed.try_into().map_err(|_| VaultError::WrongPassphrase)?;
        Ok(VaultKey::new(core::array::from_fn(|at| sealed[at] ^ self.0[at])))
    }
}

#[test]
fn a_vault_is_opened_by_the_key_store_that_made_it() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("ana");
    Vault::create(&folder, &Held([7; 32])).unwrap().put(b"1", &note("one")).unwrap();
    assert!(folder.join("vault.held").exists() && !folder.join("vault.age").exists());
    assert_eq!(Vault::open(&folder, &Held([7; 32])).unwrap().get(b"1").unwrap(), Some(note("one")));
    assert_eq!(Vault::open(&folder, &Held([8; 32])).unwrap().get::<Note>(b"1").unwrap(), None);
    assert!(matches!(Vault::open(&folder, &passphrase(LONG)), Err(VaultError::NotThere(_))));
    // Neither is another made beside it.
    assert!(matches!(Vault::create(&folder, &passphrase(LONG)), Err(VaultError::KeyLost(_))));
}

#[test]
fn a_changed_passphrase_opens_everything_and_the_former_nothing_whatever_is_put_back() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("ana");
    let (old, new) = (passphrase(LONG), passphrase("velvet otter drinks quarry"));
    let vault = Vault::create(&folder, &old).unwrap();
    vault.write(|batch| (0..200u8).try_for_each(|id| batch.put(&[id], &note(&id.to_string())))).unwrap();
    vault.prove(&old).unwrap();
    assert!(matches!(vault.prove(&new), Err(VaultError::WrongPassphrase)));
    assert!(matches!(Vault::change_keys(&folder, &old, &new), Err(VaultError::InUse)));
    drop(vault);
    assert!(matches!(Vault::change_keys(&folder, &old, &passphrase("a")), Err(VaultError::Weak(_))));
    assert!(matches!(Vault::change_keys(&folder, &new, &old), Err(VaultError::WrongPassphrase)));
    let (key_file, next) = (folder.join("vault.age"), folder.join("vault.age.next"));
    let former = fs::read(&key_file).unwrap();
    // Broken off before the commit: it is as if nothing had been asked.
    fs::write(&next, "whatever").unwrap();
    assert_eq!(Vault::open(&folder, &old).unwrap().all::<Note>().unwrap().len(), 200);
    assert!(!next.exists());

    Vault::change_keys(&folder, &old, &new).unwrap();
    assert!(!next.exists());
    let is_changed = || {
        assert!(matches!(Vault::open(&folder, &old), Err(VaultError::WrongPassphrase)));
        let vault = Vault::open(&folder, &new).unwrap();
        let rows = vault.all::<Note>().unwrap();
        assert!(rows.len() == 200 && rows.iter().all(|(id, row)| *row == note(&id[0].to_string())));
        assert_eq!(vault.get(&[7]).unwrap(), Some(note("7")));
    };
    is_changed();
    // Broken off after the commit: the next to open it finishes.
    fs::rename(&key_file, &next).unwrap();
    fs::write(&key_file, &former).unwrap();
    is_changed();
    assert!(!next.exists());
    // The former file put back opens nothing, and is told from a wrong passphrase.
    let current = fs::read(&key_file).unwrap();
    fs::write(&key_file, &former).unwrap();
    for passphrase in [&old, &new] {
        assert!(matches!(Vault::open(&folder, passphrase), Err(VaultError::FormerKey(_))));
    }
    fs::write(&key_file, current).unwrap();
    is_changed();
}

#[test]
fn a_vault_that_was_made_with_a_letter_opens_and_a_new_one_is_not_made() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("ana");
    assert!(matches!(Vault::create(&folder, &passphrase("a")), Err(VaultError::Weak(_))));
    assert!(!folder.exists(), "nothing is made");
    fs::create_dir(&folder).unwrap();
    drop(quick(&folder));
    let (_, sealed) = DataKey::create(&passphrase("a")).unwrap();
    fs::write(folder.join("vault.age"), sealed).unwrap();
    assert!(Vault::open(&folder, &passphrase("a")).is_ok());
}

#[test]
fn the_files_are_their_owners_and_hold_nothing_readable() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("ana");
    let vault = Vault::create(&folder, &passphrase(LONG)).unwrap();
    vault.put(b"identifier", &note("readable")).unwrap();
    drop(vault);
    // Opened to others by somebody, it is closed again.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        drop(Vault::open(&folder, &passphrase(LONG)).unwrap());
    }
    let bytes = fs::read(folder.join("vault.redb")).unwrap();
    for text in ["readable", "identifier", "note"] {
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
    #[cfg(unix)]
    for (name, mode) in [("vault.age", 0o600), ("vault.redb", 0o600), ("", 0o700)] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = if name.is_empty() { folder.clone() } else { folder.join(name) };
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn an_interrupted_creation_is_taken_over_and_a_lost_key_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let vault = quick(folder.path());
    vault.put(b"1", &note("one")).unwrap();
    assert!(matches!(Vault::create(folder.path(), &passphrase(LONG)), Err(VaultError::InUse)));
    drop(vault);
    assert!(matches!(Vault::create(folder.path(), &passphrase(LONG)), Err(VaultError::KeyLost(_))));
    quick(folder.path()).remove::<Note>(b"1").unwrap();
    fs::write(folder.path().join("vault.age.new"), "half").unwrap();
    Vault::create(folder.path(), &passphrase(LONG)).unwrap();
    fs::remove_file(folder.path().join("vault.redb")).unwrap();
    assert!(matches!(Vault::open(folder.path(), &passphrase("a")), Err(VaultError::RowsLost(_))));
    fs::remove_file(folder.path().join("vault.age")).unwrap();
    fs::write(folder.path().join("vault.redb"), [1; 4096]).unwrap();
    assert!(matches!(Vault::create(folder.path(), &passphrase(LONG)), Err(VaultError::KeyLost(_))));
}

#[test]
fn a_damaged_key_file_is_told_from_a_wrong_passphrase() {
    let (key, sealed) = DataKey::create(&passphrase("a")).unwrap();
    drop(key);
    assert!(DataKey::open(&sealed, &passphrase("a")).is_ok());
    let mut cut = sealed.clone();
    cut.pop();
    let mut altered = sealed.clone();
    *altered.last_mut().unwrap() ^= 1;
    for wrong in [&b"nothing"[..], &[], &cut, &altered] {
        let error = DataKey::open(wrong, &passphrase("a")).unwrap_err();
        assert!(matches!(error, VaultError::Damaged { what: "vault.age", .. }), "{error}");
    }
    let text = String::from_utf8_lossy(&sealed[..80]).into_owned();
    let (start, end) = text.split_once(" 17\n").unwrap();
    let more = [start.as_bytes(), b" 25\n", end.as_bytes(), &sealed[80..]].concat();
    assert!(matches!(DataKey::open(&more, &passphrase("a")), Err(VaultError::TooMuchWork)));
}

#[test]
fn rows_of_a_kind_are_listed_in_the_order_of_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let vault = quick(folder.path());
    assert_eq!(vault.all::<Note>().unwrap(), []);
    for id in [&b"b"[..], b"", b"a", b"ab"] {
        vault.put(id, &Note(format!("{id:?}"))).unwrap();
        vault.put(id, &Other("else".to_owned())).unwrap();
    }
    let ids: Vec<_> = vault.all::<Note>().unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [&b""[..], b"a", b"ab", b"b"]);
    assert!(vault.remove::<Note>(b"a").unwrap());
    assert!(!vault.remove::<Note>(b"a").unwrap());
    assert_eq!(vault.get::<Note>(b"a").unwrap(), None);
    assert_eq!(vault.get(b"a").unwrap(), Some(Other("else".to_owned())));
}

#[test]
fn a_batch_is_kept_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let vault = quick(folder.path());
    vault.put(b"1", &note("one")).unwrap();
    let refused = vault.write(|batch| {
        batch.put(b"2", &note("two"))?;
        assert_eq!(batch.get(b"2")?, Some(note("two")));
        batch.remove::<Note>(b"1")?;
        batch.put(b"3", &Note("x".repeat(61)))
    });
    let Err(VaultError::TooLong { what: "a note", len: 65, max: 64 }) = refused else { panic!("{refused:?}") };
    assert_eq!(vault.all().unwrap(), [(b"1".to_vec(), note("one"))]);
    assert!(vault.put(&[0; MAX_ID_LEN], &note("")).is_ok());
    assert!(matches!(vault.put(&[0; MAX_ID_LEN + 1], &note("")), Err(VaultError::TooLong { .. })));
}

#[test]
fn rows_that_changed_places_or_bytes_are_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let vault = quick(folder.path());
    let edit = |one: &[u8], stored: &[u8]| {
        let transaction = vault.database.begin_write().unwrap();
        transaction.open_table(ROWS).unwrap().insert(&vault.key.name(Note::KIND, one), stored).unwrap();
        transaction.commit().unwrap();
    };
    let stored = |id: &[u8]| {
        let rows = vault.database.begin_read().unwrap().open_table(ROWS).unwrap();
        rows.get(&vault.key.name(Note::KIND, id)).unwrap().unwrap().value().to_vec()
    };
    vault.put(b"1", &note("one")).unwrap();
    vault.put(b"2", &note("two")).unwrap();
    edit(b"1", &stored(b"2"));
    assert!(matches!(vault.get::<Note>(b"1"), Err(VaultError::Damaged { what: "a row", .. })));
    assert!(matches!(vault.all::<Note>(), Err(VaultError::Damaged { what: "a row", .. })));
    let mut bytes = stored(b"2");
    bytes[30] ^= 1;
    edit(b"2", &bytes);
    assert!(matches!(vault.get::<Note>(b"2"), Err(VaultError::Damaged { what: "a row", .. })));
}

fn device(byte: u8) -> DeviceSecret {
    DeviceSecret::new(Zeroizing::new([byte; 32]))
}

#[test]
fn a_second_way_in_opens_the_same_until_the_first_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let vault = Vault::create(folder, &passphrase(LONG)).unwrap();
    vault.put(b"1", &note("one")).unwrap();
    vault.add_keys(&device(7)).unwrap();
    vault.prove(&device(7)).unwrap();
    assert!(matches!(vault.add_keys(&passphrase(LONG)), Err(VaultError::Exists(_))));
    drop(vault);
    let vault = Vault::open(folder, &device(7)).unwrap();
    assert_eq!(vault.get(b"1").unwrap(), Some(note("one")));
    // Whoever is in by the second may make it anew.
    vault.add_keys(&device(9)).unwrap();
    drop(vault);
    assert!(matches!(Vault::open(folder, &device(7)), Err(VaultError::WrongPassphrase)));
    let kept = fs::read(folder.join("vault.device")).unwrap();
    Vault::change_keys(folder, &passphrase(LONG), &passphrase("velvet otter drinks quarry")).unwrap();
    // Whatever is put back.
    fs::write(folder.join("vault.device"), kept).unwrap();
    assert!(matches!(Vault::open(folder, &device(9)), Err(VaultError::FormerKey(_))));
    let vault = Vault::open(folder, &passphrase("velvet otter drinks quarry")).unwrap();
    vault.add_keys(&device(9)).unwrap();
    drop(vault);
    assert_eq!(Vault::open(folder, &device(9)).unwrap().get(b"1").unwrap(), Some(note("one")));
}

/// Between any two writes of it: the file not there yet, half written beside, of before, or without its line in the vault.
#[test]
fn who_is_killed_while_making_a_second_way_in_has_the_first() {
    let parent = tempfile::tempdir().unwrap();
    for (at, left) in [&b""[..], b"half", b"\x00\x01"].into_iter().enumerate() {
        let folder = parent.path().join(at.to_string());
        let vault = Vault::create(&folder, &Held([7; 32])).unwrap();
        vault.put(b"1", &note("one")).unwrap();
        vault.add_keys(&device(7)).unwrap();
        drop(vault);
        match at {
            0 => fs::remove_file(folder.join("vault.device")).unwrap(),
            _ => fs::write(folder.join("vault.device"), left).unwrap(),
        }
        fs::write(folder.join("vault.device.new"), left).unwrap();
        assert!(Vault::open(&folder, &device(7)).is_err());
        let vault = Vault::open(&folder, &Held([7; 32])).unwrap();
        assert_eq!(vault.get(b"1").unwrap(), Some(note("one")));
        vault.add_keys(&device(8)).unwrap();
        drop(vault);
        assert_eq!(Vault::open(&folder, &device(8)).unwrap().get(b"1").unwrap(), Some(note("one")));
    }
}
