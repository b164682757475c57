//! The technician's commands: they look, and speak to no engine on anybody's behalf.

use std::path::Path;

use super::Exit;
use super::output::Output;
use crate::doctor;

/// Examines the till.
pub(super) fn doctor(config: &Path, fixes: bool, output: &mut Output<'_>) -> Exit {
    let report = doctor::examine(config, fixes);
    output.result(&report, &report.text());
    if report.has_failed() {
        Exit::Failed
    } else {
        Exit::Ok
    }
}
