//! All that is known of where one is.

use crate::action::Action;
use crate::screen::Screen;
use crate::sentence::Private;
use crate::wallet::{Handle, Mode, Person, View, Wallet};
use crate::work::{DeviceLock, Event, Job, Ticket, Who};

/// The languages that the catalogue has, by their tags. What each calls itself stands in every catalogue under `language.` and its tag.
pub const LANGUAGES: &[&str] = &["en", "de"];
/// How many pages one can go back.
pub(crate) const MOST_BEHIND: usize = 16;
/// The longest text that is typed, in bytes. A card as text is the longest.
pub const MOST_TYPED: usize = 8 * 1024;
/// How long the app may be away before it is locked, in milliseconds.
pub const LOCKS_AFTER_MS: u64 = 60_000;

/// All that is known of where one is: no secret, no pixel. What a screen shows is made of it and of nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub(crate) now: u64,
    pub(crate) mode: Mode,
    pub(crate) is_open: bool,
    pub(crate) screen: Screen,
    pub(crate) behind: Vec<Screen>,
    pub(crate) wallet: Wallet,
    pub(crate) draft: Draft,
    pub(crate) who: Option<Who>,
    pub(crate) view: Option<View>,
    pub(crate) under_way: Vec<UnderWay>,
    pub(crate) next: Ticket,
    pub(crate) is_connected: bool,
    pub(crate) may_use_camera: bool,
    pub(crate) device: DeviceLock,
    pub(crate) language: u32,
    pub(crate) typed: Vec<(String, Private)>,
    pub(crate) linked: Option<Private>,
    pub(crate) pending_shown: Vec<Handle>,
}

/// What is being prepared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) name: Private,
    pub(crate) is_restore: bool,
    pub(crate) code: Option<Handle>,
    pub(crate) invitation: Option<Handle>,
    pub(crate) from_afar: bool,
    pub(crate) is_narrow: bool,
    pub(crate) person: Option<Person>,
    pub(crate) studies: Vec<Handle>,
    pub(crate) days: u32,
    pub(crate) wants_own_days: bool,
    pub(crate) view_only: bool,
    pub(crate) all_the_same: bool,
}

/// Something that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnderWay {
    pub(crate) ticket: Ticket,
    pub(crate) job: Job,
    pub(crate) done: u64,
    pub(crate) all: u64,
    pub(crate) is_slow: bool,
    pub(crate) is_paused: bool,
}

/// What there is when the app is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No wallet, and no network's file that could be used.
    NoNetwork,
    /// No wallet.
    Nothing,
    /// A wallet, which is locked.
    Wallet(Mode),
}

/// What changes a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Something was pressed.
    Press(Action),
    /// Something was typed into a field that is no secret.
    Typed {
        /// The field.
        field: String,
        /// What stands in it now.
        text: Private,
    },
    /// Something came.
    Event(Event),
}

impl State {
    /// What is shown first.
    #[must_use]
    pub fn start(found: Found, device: DeviceLock, language: u32) -> Self {
        let (screen, mode) = match found {
            Found::NoNetwork => (Screen::WrongNetwork, Mode::Patient),
            Found::Nothing => (Screen::Welcome, Mode::Patient),
            Found::Wallet(mode) => (Screen::Locked { wrong: 0, by_passphrase: false }, mode),
        };
        Self {
            now: 0,
            mode,
            is_open: false,
            screen,
            behind: Vec::new(),
            wallet: Wallet::default(),
            draft: Draft::default(),
            who: None,
            view: None,
            under_way: Vec::new(),
            next: 1,
            is_connected: true,
            may_use_camera: true,
            device,
            language,
            typed: Vec::new(),
            linked: None,
            pending_shown: Vec::new(),
        }
    }

    /// Whose wallet it is.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The language that it speaks, by its tag.
    #[must_use]
    pub fn language(&self) -> &'static str {
        LANGUAGES.get(self.language as usize).copied().unwrap_or("en")
    }

    /// What was typed into a field.
    pub(crate) fn typed(&self, field: &str) -> Private {
        self.typed.iter().find(|(name, _)| name == field).map(|(_, text)| text.clone()).unwrap_or_default()
    }

    pub(crate) fn under_way(&self, ticket: Ticket) -> Option<&UnderWay> {
        self.under_way.iter().find(|work| work.ticket == ticket)
    }
}
