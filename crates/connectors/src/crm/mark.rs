//! What is kept of what was written: whether it is the same can be seen, what it was cannot.

/// Sixteen digits that say whether two texts are the same.
pub(crate) fn fingerprint(of: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, of.as_bytes());
    hex::encode(&digest.as_ref()[..8])
}

/// Stands for an address where addresses are not kept.
pub(crate) fn mark(email: &str) -> String {
    fingerprint(&email.trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_were_kept_are_known_again() {
        assert_eq!(fingerprint("Ada Lovelace"), "7674021617159190");
        assert_eq!(mark(" Ada@Example.org"), mark("ada@example.org"));
        assert_ne!(mark("ada@example.org"), mark("ada@example.net"));
    }
}
