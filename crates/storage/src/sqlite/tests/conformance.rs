//! The suite, with the usual limits and with limits so small that everything folds, spills and refills all the time.

mod usual {
    use super::super::kit::OnDisk;
    use crate::conformance::Backend;

    fn open() -> Box<dyn Backend> {
        Box::new(OnDisk::new(|options| options))
    }

    crate::conformance_tests!(open);
}

mod tiny {
    use super::super::kit::OnDisk;
    use crate::conformance::Backend;
    use crate::sqlite::SqliteOptions;

    fn open() -> Box<dyn Backend> {
        Box::new(OnDisk::new(|options| SqliteOptions { tail_rows_max: 3, kept_bytes_max: 1_000, ..options }))
    }

    crate::conformance_tests!(open);
}
