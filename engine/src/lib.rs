//! Tillway's payment transaction engine.

pub mod access;
pub mod acquirer;
pub mod actor;
pub mod agent_link;
pub mod clock;
pub mod config;
pub mod domain;
pub mod history;
pub mod http;
pub mod id_source;
pub mod init;
pub mod observe;
pub mod offline;
pub mod owner;
pub mod pace;
pub mod query;
pub mod server;
pub mod service;
pub mod store;
pub mod tls;
