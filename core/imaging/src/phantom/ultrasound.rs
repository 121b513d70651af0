//! x
use super::{Phantom, PhantomError, Sink};
pub(super) fn make(_: &Phantom, _: &mut Sink<'_>) -> Result<(), PhantomError> { Ok(()) }
pub(super) fn plain(_: &Phantom) -> String { String::new() }
