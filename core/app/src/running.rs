//! A command that was sent, as whoever sent it sees it.

use core::fmt;
use core::marker::PhantomData;

use clavicle_wallet::download::Control;
use tokio::sync::oneshot;

use crate::command::{Ask, Done};
use crate::trouble::Trouble;

/// A command's number, in the order in which they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub(crate) u64);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A command that was sent. It goes on when this is dropped.
pub struct Running<C> {
    pub(crate) id: CommandId,
    pub(crate) control: Control,
    pub(crate) ended: oneshot::Receiver<Result<Done, Trouble>>,
    pub(crate) command: PhantomData<fn() -> C>,
}

impl<C: Ask> Running<C> {
    /// Its number.
    #[must_use]
    pub const fn id(&self) -> CommandId {
        self.id
    }

    /// Cancels it, and shows how far it is; pauses, orders and reads from it where it is a fetch.
    #[must_use]
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// Waits until it is done.
    ///
    /// # Errors
    /// [`Trouble`]: why it was not.
    pub async fn ended(self) -> Result<C::Done, Trouble> {
        let done = self.ended.await.map_err(|_| Trouble::closed())??;
        C::take(done).ok_or_else(Trouble::defect)
    }
}

impl<C> fmt::Debug for Running<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("id", &self.id).finish_non_exhaustive()
    }
}
