//! Power cuts: what a program did to its files, and what a disk may hold after the power went.
//!
//! A SIGKILL leaves the page cache, and with it everything that was written and never synced. So
//! the shipped programs run under a recorder ([`recorder`], `tests/power/record.c`), and the images
//! that a cut may leave are computed from its trace: [`history`] knows what was durable at an
//! instant and what was not, [`cut`] lets a seed decide what becomes of the rest.

pub mod cut;
pub mod dice;
pub mod history;
pub mod image;
pub mod recorder;
pub mod sent;
pub mod trace;
