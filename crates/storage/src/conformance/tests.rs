//! The model, through the whole suite. The other stores do the same beside their own tests.

mod memory {
    use crate::conformance::{Backend, Memory};

    fn open() -> Box<dyn Backend> {
        Box::new(Memory::default())
    }

    crate::conformance_tests!(open);
}
