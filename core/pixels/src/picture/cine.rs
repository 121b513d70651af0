//! Cine: how fast frames follow one another (PS3.3 C.7.6.5).

use std::time::Duration;

use dicom_dictionary_std::tags;

use crate::frames::Attributes;

/// The slowest and the fastest that a film is shown at. What says otherwise is mistaken.
const SLOWEST: f64 = 60.0;
const FASTEST: f64 = 0.004;

/// How long each frame is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Cine {
    /// All alike.
    Even(Duration),
    /// Each for its own time.
    Each(Vec<Duration>),
}

impl Cine {
    /// By Recommended Display Frame Rate (0008,2144), else Frame Time Vector (0018,1065), Frame Time (0018,1063), Cine Rate (0018,0040).
    /// `None` where nothing is told, or something that cannot be.
    #[must_use]
    pub fn of(attributes: Attributes<'_>, frames: u32) -> Option<Self> {
        let seconds = |seconds: f64| {
            let fits = (FASTEST..=SLOWEST).contains(&seconds);
            fits.then(|| Duration::from_secs_f64(seconds))
        };
        let rate = |tag| attributes.number(tag).and_then(|rate| seconds(1.0 / rate)).map(Self::Even);
        let vector = || {
            // The first is that of the first frame to none before, and 0.
            let times: Option<Vec<Duration>> =
                attributes.numbers(tags::FRAME_TIME_VECTOR).iter().skip(1).map(|time| seconds(time / 1000.0)).collect();
            let mut times = times.filter(|times| times.len() + 1 == frames as usize && !times.is_empty())?;
            // The last frame is shown as long as the one before it.
            times.extend(times.last().copied());
            Some(Self::Each(times))
        };
        let time = || attributes.number(tags::FRAME_TIME).and_then(|time| seconds(time / 1000.0)).map(Self::Even);
        rate(tags::RECOMMENDED_DISPLAY_FRAME_RATE).or_else(vector).or_else(time).or_else(|| rate(tags::CINE_RATE))
    }

    /// How long a frame is shown, counted from 0.
    #[must_use]
    pub fn time(&self, frame: u32) -> Duration {
        match self {
            Self::Even(time) => *time,
            Self::Each(times) => times.get(frame as usize).or(times.last()).copied().unwrap_or_default(),
        }
    }
}
