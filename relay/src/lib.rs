//! The hospital's node.
//!
//! It keeps the chain, serves studies to those granted, and takes part in agreement. So far it keeps the chain:
//! [`store`].

pub mod store;
