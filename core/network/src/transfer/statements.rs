//! Statements: a holder asks for a study's receipts, and for nothing else.
//!
//! ```text
//! holder                            source
//! hello, signed by its key       ─►
//! the first sequence             ─►
//!                                ◄─ refused, a reference      as in a transfer
//!                                ◄─ or: receipts, as many as go into one answer
//! the next, end of stream        ─►
//! ```
//!
//! Nothing of the study is shown, and so nothing is written down of it: a receipt says that somebody was let in to images. Who asks how often somebody looked
//! does not look. It is decided as a transfer is, and again before every answer.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_admission::Neighbourhood;
use clavicle_ledger::authorise::SignedHello;
use clavicle_ledger::encoding::Wire;
use clavicle_ledger::receipt::Statement;
use iroh::Endpoint;
use iroh::endpoint::{Connection, ReadExactError, RecvStream, SendStream, VarInt};
use tokio::time::timeout;
use tracing::debug;

use super::message::Reference;
use super::receive::{STALLED, why};
use super::send::{Greeted, MAX_STATEMENTS, SendError, Transfers, greet};
use super::{DONE, ENDED, FAILED, FetchError, REFUSED};
use crate::endpoint::{self, MessageError, Remote, read_message, remote_key, write_message};
use crate::places::{Account, Place, REPLACED};

/// The protocol, as iroh negotiates it.
pub const STATEMENTS: &[u8] = b"clavicle/receipts/2";

/// Receipts from this sequence on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct FromSequence(pub(crate) u64);

impl Wire for FromSequence {
    const NAME: &'static str = "from which receipt on";
    const MAX_LEN: usize = 8;
}

/// What the source says. Refused, the bytes are those of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Stated {
    /// No; the same for every reason.
    Refused(Reference),
    /// As many as go into one answer.
    Receipts(Box<Statement>),
}

impl Wire for Stated {
    const NAME: &'static str = "what a source says of its receipts";
    const MAX_LEN: usize = 9 + Statement::MAX_LEN;
}

/// Serves one connection until its end. It has a stranger's place until it is known for the holder's.
pub(crate) async fn serve(connection: &Connection, stranger: Place<Neighbourhood>, transfers: &Transfers) {
    let close = |code| connection.close(VarInt::from_u32(code), b"");
    let address = stranger.whose();
    let Some(greeted) = stranger.holding(greet(connection, address, transfers)).await else { return close(REPLACED) };
    let Some(mut greeted) = greeted else { return close(REFUSED) };
    let authorisation = &greeted.admission.authorisation;
    let guest = match authorisation.grant() {
        Some(_) => Err("somebody who is not the holder asked for receipts"),
        None => transfers
            .guests
            .enter(Account::Study(authorisation.study()))
            .ok_or("there is no place for anybody who is let in"),
    };
    let guest = match guest {
        Ok(guest) => guest,
        Err(why) => {
            let reference = transfers.gate.refuse(remote_key(connection), why);
            transfers.refusals.refuse(&mut greeted.send, address, greeted.asked, reference).await;
            return close(REFUSED);
        }
    };
    drop(stranger);
    let code = match guest.holding(state(greeted, transfers)).await {
        Some(Ok(())) => {
            // The other side closes when it has all of it.
            timeout(STALLED, connection.closed()).await.ok();
            DONE
        }
        Some(Err(Unstated::Ended)) => ENDED,
        Some(Err(Unstated::Broken(error))) => {
            debug!(%error, "a statement broke off");
            FAILED
        }
        None => REPLACED,
    };
    close(code);
}

/// Why nothing more is said.
enum Unstated {
    /// They are not the holder any more.
    Ended,
    Broken(SendError),
}

impl<E: Into<SendError>> From<E> for Unstated {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

async fn state(greeted: Greeted, transfers: &Transfers) -> Result<(), Unstated> {
    let Greeted { mut send, mut receive, admission, .. } = greeted;
    for _ in 0..MAX_STATEMENTS {
        let FromSequence(from) = match read_message(&mut receive, STALLED).await {
            Err(MessageError::Read(ReadExactError::FinishedEarly(0))) => break,
            asked => asked?,
        };
        let (gate, authorisation) = (Arc::clone(&transfers.gate), admission.authorisation.clone());
        let read = transfers.renewing.work(move || -> Result<Option<Statement>, Unstated> {
            // The holder, for whom nobody acts.
            let authorisation = gate.renew(&authorisation, None).map_err(|_| Unstated::Ended)?;
            gate.receipts(&authorisation, from).map_err(|error| SendError::Gate(error).into())
        });
        let statement = read.await.map_err(std::io::Error::other)??.ok_or(SendError::NotHolder)?;
        write_message(&mut send, &Stated::Receipts(Box::new(statement)), STALLED).await?;
    }
    send.finish().ok();
    Ok(())
}

/// A source that is asked for receipts.
#[derive(Debug)]
pub struct Asking {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Asking {
    /// Connects to a source with the endpoint of the key that holds the study, and says hello. Whether that is heard the first answer says.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn connect(endpoint: &Endpoint, source: &Remote, hello: &SignedHello) -> Result<Self, FetchError> {
        let unreachable = || FetchError::Unreachable(source.addresses.clone());
        let connection = endpoint::connect(endpoint, source, STATEMENTS).await.ok_or_else(unreachable)?;
        let opened = timeout(STALLED, connection.open_bi()).await.map_err(|_| FetchError::Broken)?;
        let (mut send, receive) = opened.map_err(|_| why(&connection))?;
        write_message(&mut send, hello, STALLED).await.map_err(|_| why(&connection))?;
        Ok(Self { connection, send, receive })
    }

    /// The study's receipts from a sequence on, as many as go into one answer. They are not to be believed yet.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn receipts(&mut self, from: u64) -> Result<Statement, FetchError> {
        // Whoever is refused may be told before all of it was sent.
        let asked = write_message(&mut self.send, &FromSequence(from), STALLED).await;
        match read_message(&mut self.receive, STALLED).await {
            Ok(Stated::Receipts(statement)) => asked.map(|()| *statement).map_err(|_| why(&self.connection)),
            Ok(Stated::Refused(reference)) => Err(FetchError::Refused(Some(reference))),
            Err(error) if error.is_wrong() => Err(FetchError::Protocol("its statement cannot be read")),
            Err(_) => Err(why(&self.connection)),
        }
    }

    /// Tells the source that all is there.
    pub fn close(mut self) {
        self.send.finish().ok();
        self.connection.close(VarInt::from_u32(DONE), b"");
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::{self, Ascending};

    use super::*;
    use crate::fuzz::decodes;
    use crate::transfer::message::Answer;

    #[test]
    fn fuzz() {
        let statement = Statement { receipts: Ascending::new(), anchors: Ascending::new(), more: false };
        decodes(&[FromSequence(7)]);
        decodes(&[Stated::Refused(Reference([1; 8])), Stated::Receipts(Box::new(statement))]);
        let (here, there) = (Stated::Refused(Reference([1; 8])), Answer::Refused(Reference([1; 8])));
        assert_eq!(encoding::encode(&here), encoding::encode(&there), "a refusal is the same whatever was asked");
    }
}
