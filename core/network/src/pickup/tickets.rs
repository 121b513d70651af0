//! Which tickets are being opened: each by one at a time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::message::TicketHash;

/// Those that are. Shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tickets(Arc<Table>);

#[derive(Debug, Default)]
struct Table {
    open: Mutex<BTreeSet<TicketHash>>,
    closed: Notify,
}

/// A ticket is being opened until this is dropped.
#[derive(Debug)]
pub(super) struct Opening {
    tickets: Tickets,
    ticket: TicketHash,
}

impl Tickets {
    /// Waits until nobody opens this ticket, and begins to.
    pub(super) async fn open(&self, ticket: TicketHash) -> Opening {
        loop {
            // From before the look, so that nothing that comes between is missed.
            let closed = self.0.closed.notified();
            if self.0.open.lock().unwrap_or_else(PoisonError::into_inner).insert(ticket) {
                return Opening { tickets: self.clone(), ticket };
            }
            closed.await;
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let Table { open, closed } = &*self.tickets.0;
        open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.ticket);
        closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ticket_is_opened_by_one_at_a_time() {
        let (tickets, ticket) = (Tickets::default(), |n| TicketHash::from_bytes([n; 32]));
        let first = tickets.open(ticket(1)).await;
        drop(tickets.open(ticket(2)).await);
        let mut second = Box::pin(tickets.open(ticket(1)));
        tokio::select! {
            biased;
            _ = &mut second => panic!("it is being opened"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        drop(second.await);
        assert!(tickets.0.open.lock().unwrap().is_empty());
    }
}
