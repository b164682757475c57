//! `ports`: what a technician looks at first. Works before there is a configuration.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::output::Output;
use super::{Exit, explain};
use crate::config::{Config, ConfigError};
use crate::device::permission::{self, Account};
use crate::device::survey;

/// The user of the packaged service, and the name of the program.
const AGENT: &str = "terminal-agent";

/// Lists the ports.
pub(super) fn ports(config: &Path, user: Option<&str>, output: &mut Output<'_>) -> Exit {
    let (config, problem) = match Config::read(config) {
        Ok(config) => (Some(config), None),
        Err(ConfigError::Unreadable { path, source }) => {
            let problem = format!("{}: {source}", path.display());
            (None, Some(problem))
        }
        Err(error) => (None, Some(explain(&error))),
    };
    let root = config
        .as_ref()
        .map_or(Path::new("/"), |config| &config.device_root);
    let account = match user {
        Some(user) => permission::account_named(root, user),
        None => Some(agents_account(root, config.as_ref())),
    };
    let Some(account) = account else {
        let user = user.unwrap_or_default();
        let message = format!("there is no user {user} on this machine");
        return output.fail(Exit::Usage, "NO_SUCH_USER", &message);
    };
    let endpoints = config.as_ref().map(Config::endpoints);
    let endpoints = endpoints.and_then(Result::ok).unwrap_or_default();
    let mut survey = survey::survey(root, account, &endpoints);
    survey.configuration_problem = problem;
    output.result(&survey, &survey.text());
    Exit::Ok
}

/// Whoever owns the state directory runs the agent; before there is one, the packaged service's
/// user; without the package, whoever asks.
pub(crate) fn agents_account(root: &Path, config: Option<&Config>) -> Account {
    let own = permission::own_account(root);
    let state = config.and_then(|config| std::fs::metadata(&config.state_dir).ok());
    let Some(uid) = state.map(|state| state.uid()) else {
        return permission::account_named(root, AGENT).unwrap_or(own);
    };
    if uid == own.uid {
        return own;
    }
    let running = permission::account_of_program(root, Path::new("/proc"), uid, AGENT);
    running.unwrap_or_else(|| permission::account(root, uid))
}
