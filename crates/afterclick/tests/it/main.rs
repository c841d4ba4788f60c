//! The whole binary, driven from outside.
