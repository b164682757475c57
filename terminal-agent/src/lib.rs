//! terminal-agent

pub mod machine;
