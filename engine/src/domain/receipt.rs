//! Which receipts exist and what is on them: rules as data.
