//! Segment's own SDK and Afterclick say the same to a recorder.
