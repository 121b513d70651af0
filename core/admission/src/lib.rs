//! Admission: who may hold a place when more come than there are places. Every listener asks it: libp2p, the validators' port, iroh, DICOM
//! associations, the operator's socket. And how often a line of the log may be written about those who come ([`Seldom`]).
//!
//! It is pure: it counts, and says who has to go. It opens and closes nothing, and the time is passed in.
//!
//! ```
//! use clavicle_admission::{Admission, Limits, Neighbourhood, Origin};
//! use std::time::{Duration, Instant};
//!
//! let limits = Limits { most: 2, settled: Duration::ZERO, silent: Some(Duration::from_secs(5)) };
//! let mut door = Admission::new(limits);
//! let of = |text: &str| Origin::Direct(text.parse().unwrap()).neighbourhood();
//! let now = Instant::now();
//! door.enter(of("192.0.2.1"), now, "a flood").unwrap();
//! door.enter(of("192.0.2.1"), now, "still a flood").unwrap();
//! // Whoever comes from another address has a place, and the oldest of the address with the most has to go.
//! let entered = door.enter(of("192.0.2.2"), now, "a wallet").unwrap();
//! assert_eq!(entered.displaced, Some("a flood"));
//! // Who says something may stay; who does not is named when its time is over.
//! let wallet = door.heard(entered.place, now + Duration::from_secs(4));
//! assert_eq!(door.overdue(now + Duration::from_secs(5)), Some("still a flood"));
//! assert_eq!(door.overdue(now + Duration::from_secs(5)), None);
//! assert_eq!(door.leave(wallet), Some("a wallet"));
//! ```

mod admission;
mod origin;
mod seldom;

pub use self::admission::{Admission, Entered, Full, Limits, Place};
pub use self::origin::{Neighbourhood, Origin, TrustedEdge};
pub use self::seldom::Seldom;
