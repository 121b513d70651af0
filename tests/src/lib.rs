//! Tests of everything together.
