//! Receiving and sending over associations.

fn main() {}
