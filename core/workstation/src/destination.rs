//! Where to push: `AET@host:port`, or a DICOMweb address.

use core::fmt;
use std::str::FromStr;

use clavicle_dimse::{AeTitle, AeTitleError};

/// An archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// By C-STORE.
    Dicom {
        /// Its AE title.
        called: AeTitle,
        /// Where it listens.
        host: String,
        /// On which port.
        port: u16,
    },
    /// By STOW-RS (PS3.18 §10.5).
    Web(Url),
}

/// The address of a DICOMweb service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether over TLS.
    pub(crate) is_secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Without a slash at its end.
    pub(crate) path: String,
}

/// Why a text names no archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// Neither form.
    #[error("an archive is written AET@host:port, or https://host/dicom-web")]
    Form,
    /// The title before the `@`.
    #[error("what stands before the @ is no AE title: {0}")]
    Title(#[from] AeTitleError),
    /// A port that is none.
    #[error("the port is no number from 1 to 65535")]
    Port,
    /// A path that is none.
    #[error("the address holds a space, a question mark or something else that an address of a service has not")]
    Path,
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let web = ["http://", "https://"].into_iter().find_map(|scheme| Some((scheme, text.strip_prefix(scheme)?)));
        if let Some((scheme, rest)) = web {
            let is_secure = scheme == "https://";
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let (host, port) = host_and_port(authority)?;
            let path = path.trim_end_matches('/');
            if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'<' | b'>')) {
                return Err(DestinationError::Path);
            }
            let port = port.unwrap_or(if is_secure { 443 } else { 80 });
            return Ok(Self::Web(Url { is_secure, host, port, path: path.to_owned() }));
        }
        let (title, authority) = text.rsplit_once('@').ok_or(DestinationError::Form)?;
        let called = AeTitle::new(title)?;
        let (host, port) = host_and_port(authority)?;
        Ok(Self::Dicom { called, host, port: port.ok_or(DestinationError::Form)? })
    }
}

/// An IPv6 address stands in brackets.
fn host_and_port(authority: &str) -> Result<(String, Option<u16>), DestinationError> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inside) => inside.split_once(']').ok_or(DestinationError::Form)?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err(DestinationError::Form);
    }
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0).ok_or(DestinationError::Port)?),
        None if rest.is_empty() => None,
        None => return Err(DestinationError::Form),
    };
    Ok((host.to_owned(), port))
}

impl Url {
    /// As the Host header has it.
    pub(crate) fn authority(&self) -> String {
        let Self { is_secure, host, port, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if *port == if *is_secure { 443 } else { 80 } { host } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dicom { called, host, port } => write!(f, "{called}@{host}:{port}"),
            Self::Web(url) => {
                write!(f, "{}://{}{}", if url.is_secure { "https" } else { "http" }, url.authority(), url.path)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn archives_are_written_in_two_ways() {
        for text in
            ["PACS@10.0.0.1:104", "CT 1@pacs.example:11112", "https://pacs.example/dicom-web", "http://[::1]:8042/a/b"]
        {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        assert_eq!("https://a.example:443/x/".parse::<Destination>().unwrap().to_string(), "https://a.example/x");
        let refused = |text: &str| text.parse::<Destination>().unwrap_err();
        assert_eq!(refused("pacs.example:104"), DestinationError::Form);
        assert_eq!(refused("PACS@pacs.example"), DestinationError::Form);
        assert_eq!(refused("PACS@pacs.example:0"), DestinationError::Port);
        assert_eq!(refused("@pacs.example:104"), DestinationError::Title(AeTitleError::Empty));
        assert_eq!(refused("http://a.example/x?y"), DestinationError::Path);
        assert_eq!(refused("http://a\r\nb/x"), DestinationError::Form);
    }
}
