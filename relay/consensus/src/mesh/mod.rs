//! The engine's network: a link with each other validator, and nobody else.
//!
//! Few validators need no gossip: everybody has a link with everybody, on which each says itself what it has to say. There is nothing to forward, so that whoever
//! sends garbage is whoever is at the other end of the link, and nobody else is blamed for it. Validators that reach a third one and not
//! each other decide with it, and catch up from it; that is the price.
//!
//! | | |
//! |---|---|
//! | `roster` | who may have a link: the keys of the height that is due and of the next epoch, made anew after each block |
//! | `address` | where they listen |
//! | `proof` | TLS 1.3 with the consensus keys, on both sides, before a byte of consensus |
//! | `door` | who connects: few handshakes at once, shared by address |
//! | `dial` | who is connected to: for ever, each again within half a second |
//! | `frame`, `link` | what travels, each kind with its longest; what waits; who says nothing for 1.25 seconds is not there |
//! | `hub` | the one task that has all of it, and speaks with the engine |
//! | `catch_up` | those who are asked for blocks without a link |
//!
//! A pair has one link. A new one takes the old one's place, since whoever has a link does not connect: so no connection that is dead at one end keeps a validator
//! out. When both connect at the same moment, the one stays that the smaller key began.
//!
//! A link begins with what this validator said at this height, and with how far it is: whatever a cut swallowed is made up for at once.
//!
//! What is bounded, and how. At the port: 64 handshakes of strangers at once, shared by address, and 64 from where validators are said to listen, each for three
//! seconds. On a link: 4 MiB of votes that wait to be written, 20 MiB of parts and three answers, and whoever takes nothing until one of them is full loses the link, since what is
//! left out in the middle could be what a round waits for; 2,000 messages a second are read; eight questions are answered at once. An
//! answer to one that is behind has one block's greatest length, and comes in pieces of 64 KiB, between which votes pass.
//!
//! # What is linked and not run
//!
//! The engine's crates bring a network of their own, libp2p 0.56, which cannot be left out of the build by a feature. None of it is started, so that its
//! advisories are not reached:
//!
//! | advisory | in | why not reached |
//! |---|---|---|
//! | GHSA-vrx6-jcp8-vm7m | gossipsub 0.49.5 (by libp2p 0.56): PRUNEs take memory without end | no gossip runs here; nobody without a consensus key is read from at all |
//! | GHSA-vxx9-2994-q338 | yamux 0.12.1 (by libp2p-yamux 0.47) | no connection of libp2p 0.56 is made; a link is TLS without streams |
//! | RUSTSEC-2026-0118, RUSTSEC-2026-0119 | hickory 0.25.2 (by libp2p-dns of 0.56) | no name is looked up with it; the system does that |

mod address;
mod catch_up;
mod dial;
mod door;
mod frame;
mod hub;
mod link;
mod proof;
mod roster;

pub(crate) use self::address::ListenAddress;
pub(crate) use self::hub::{Mesh, Own, Start, start};
pub(crate) use self::roster::Roster;
