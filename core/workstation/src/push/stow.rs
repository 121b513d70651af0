//! By STOW-RS: some instances at a time, each answered for.

use std::iter::Peekable;
use std::vec::IntoIter;

use clavicle_app::sentences;
use clavicle_letters::random::random;
use hyper::StatusCode;
use tokio_rustls::TlsConnector;

use clavicle_dicom::rewrite::Syntax;

use super::answer::{Answer, SYNTAX_NOT_SUPPORTED, sentence};
use super::http::{HttpError, Over, Pieces, post, secure};
use super::{Item, PrepareError, PushError, Sending};
use crate::destination::Url;

/// Most bytes and instances of a request. An instance that is larger goes by itself.
const MOST_BYTES: u64 = 64 << 20;
const MOST_ITEMS: usize = 100;

/// Sends all of them.
pub(super) async fn send(sending: &mut Sending<'_>, items: Vec<Item>, url: &Url) -> Result<(), PushError> {
    let unreachable = |error: &HttpError| PushError::Unreachable(sentences(error));
    let tls = if url.is_secure { Some(secure(sending.push.ca).map_err(|error| unreachable(&error))?) } else { None };
    let mut has_begun = false;
    let mut again = Vec::new();
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        match some(sending, &mut items, url, tls.as_ref(), Syntax::Own).await {
            Ok(refused) => again.extend(refused),
            Err((_, HttpError::Plain)) if !has_begun => return Err(PushError::WithoutTls(sending.push.to.clone())),
            Err((_, error)) if !has_begun => return Err(unreachable(&error)),
            Err((lost, error)) => {
                let reason = sentences(&error);
                lost.into_iter().chain(items.by_ref()).for_each(|item| sending.failed(&item, reason.as_str()));
            }
        }
        has_begun = true;
    }
    // Those that the archive does not take as they are, once more in what every archive takes.
    let mut again = again.into_iter().peekable();
    while again.peek().is_some() {
        if let Err((lost, error)) = some(sending, &mut again, url, tls.as_ref(), Syntax::Explicit).await {
            lost.iter().for_each(|item| sending.failed(item, sentences(&error)));
        }
    }
    Ok(())
}

/// Sends the next few in one request, and gives back those that may be taken in another transfer syntax; with an error those that there is no
/// answer for.
async fn some(
    sending: &mut Sending<'_>,
    items: &mut Peekable<IntoIter<Item>>,
    url: &Url,
    tls: Option<&TlsConnector>,
    syntax: Syntax,
) -> Result<Vec<Item>, (Vec<Item>, HttpError)> {
    let (mut body, mut sent) = (Pieces::new(), Vec::new());
    // Random, so that no file has it inside.
    let random = random().unwrap_or_else(|_| u128::from(std::process::id()).to_le_bytes());
    let boundary = format!("clavicle-{:032x}", u128::from_le_bytes(random));
    loop {
        // What was written anew may be larger than it was: what counts is what is there.
        let (count, bytes) = (sent.len(), body.left());
        let fits = |item: &Item| count == 0 || count < MOST_ITEMS && bytes.saturating_add(item.size) <= MOST_BYTES;
        let Some(item) = items.next_if(fits) else { break };
        let opened = sending.prepare(&item, syntax).and_then(|file| {
            let len = file.metadata().map_err(PrepareError::Temporary)?.len();
            Ok((file, len))
        });
        match opened {
            Ok((file, len)) => {
                body.bytes(format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").into_bytes());
                body.file(file, len);
                body.bytes(b"\r\n".to_vec());
                sent.push(item);
            }
            Err(error) => sending.failed(&item, sentences(&error)),
        }
    }
    if sent.is_empty() {
        return Ok(sent);
    }
    body.bytes(format!("--{boundary}--\r\n").into_bytes());
    let content = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
    let mut headers = vec![("content-type", content.as_str()), ("accept", "application/dicom+json")];
    headers.extend(sending.push.authorization.as_deref().map(|value| ("authorization", value)));
    let over = match tls {
        Some(tls) => Over::Tls(tls),
        None if sending.push.without_tls => Over::Anything,
        None => Over::Loopback,
    };
    match post(url, "/studies", &headers, body, over).await {
        Ok((status, answer)) => Ok(told(sending, sent, status, &answer, syntax)),
        Err(error) => Err((sent, error)),
    }
}

/// Files each under what became of it.
fn told(sending: &mut Sending<'_>, sent: Vec<Item>, status: StatusCode, answer: &[u8], syntax: Syntax) -> Vec<Item> {
    let is_of_this = status.is_success() || status == StatusCode::CONFLICT;
    let answer = Answer::of(answer).filter(|_| is_of_this).unwrap_or_default();
    let mut again = Vec::new();
    for item in sent {
        let uid = item.sop_instance_uid.as_str();
        match answer.failed.get(uid) {
            Some(Some(SYNTAX_NOT_SUPPORTED)) if syntax == Syntax::Own => again.push(item),
            Some(reason) => sending.failed(&item, sentence(*reason)),
            None if answer.stored.contains(uid) => sending.stored(syntax != Syntax::Own),
            None if is_of_this => sending.failed(&item, "the archive does not say that it has stored it"),
            None => sending.failed(&item, format!("the archive answers {status}")),
        }
    }
    again
}
