//! Each store of this crate, through the whole suite.

mod memory {
    use crate::conformance::{Backend, Memory};

    fn open() -> Box<dyn Backend> {
        Box::new(Memory::default())
    }

    crate::conformance_tests!(open);
}
