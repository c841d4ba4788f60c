//! The signature doctor: given a request and a secret, which scheme fits, or which of the classic mistakes was made.
