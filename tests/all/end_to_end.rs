//! Whole sales.
