//! The API as callers see it, tried over fake owners and fake rows.

mod doors;
mod lists;
mod money;
mod pairing;
mod socket;
mod world;
