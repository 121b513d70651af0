//! What people show and send each other. No network, no disk, no clock.
//!
//! | | |
//! |---|---|
//! | [`pickup`] | the code with which a patient takes hold of the studies of a visit |
//! | [`mailbox`] | where messages to a person are left |

pub mod mailbox;
pub mod pickup;
