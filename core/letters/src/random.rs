//! Random bytes, from the system: for keys, salts, and numbers that nobody must guess.

/// So many of them.
///
/// # Errors
/// When the system's random generator fails; whoever needed them does nothing then.
pub fn random<const LEN: usize>() -> Result<[u8; LEN], getrandom::Error> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_differ_each_time() {
        assert_ne!(random::<32>().unwrap(), random::<32>().unwrap());
    }
}
