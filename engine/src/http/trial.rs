//! The API as callers see it, tried over fake owners and fake rows.

mod doors;
mod lists;
mod money;
mod socket;
mod world;
