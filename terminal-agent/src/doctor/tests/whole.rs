//! Whole examinations of tills that are not there.

use super::*;

fn verdict_of(report: &Report, id: CheckId) -> Verdict {
    let check = report.checks.iter().find(|check| check.id == id.name());
    check.unwrap().verdict
}

/// A till in a directory, with these ports and an engine that is not there.
fn till(directory: &Path) -> PathBuf {
    let state = directory.join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.join("agent.toml");
    let config = format!(
        "state_dir = {state:?}\ndevice_root = {directory:?}\n[engine]\nurl = \
         \"http://127.0.0.1:1\"\n[reader]\npath = {:?}\n",
        directory.join("nothing")
    );
    fs::write(&path, config).unwrap();
    path
}

#[test]
fn every_check_is_reported_whatever_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken.toml");
    fs::write(&broken, "[reader]\nbuad = 1").unwrap();
    for path in [
        till(directory.path()),
        broken,
        directory.path().join("nothing.toml"),
    ] {
        let report = examine(&path, false);
        assert!(report.has_failed());
        for id in CheckId::ALL {
            verdict_of(&report, *id);
        }
        report.checks.iter().for_each(assert_helpful);
    }
}

#[test]
fn a_till_without_an_engine_says_what_rests_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let report = examine(&till(directory.path()), false);
    for (id, verdict) in [
        (CheckId::ConfigValid, Pass),
        (CheckId::StateWritable, Pass),
        (CheckId::StatePermissions, Fail),
        (CheckId::AgentRunning, Warn),
        (CheckId::NetDns, Pass),
        (CheckId::NetTcp, Fail),
        (CheckId::NetTls, Skip),
        (CheckId::ClockSkew, Skip),
        (CheckId::EngineAuth, Fail),
        (CheckId::PortExists, Fail),
        (CheckId::PortPermission, Skip),
        (CheckId::ReaderHello, Skip),
        (CheckId::PrinterStatus, Skip),
        (CheckId::QueueDepth, Pass),
    ] {
        assert_eq!(verdict_of(&report, id), verdict, "{}", id.name());
    }
}

#[test]
fn fixing_closes_the_state_directory_and_removes_a_left_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = till(directory.path());
    let state = directory.path().join("state");
    let key = state.join("device-key");
    fs::write(&key, "11".repeat(32)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let socket = crate::control::socket_path(&state);
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;

    let report = examine(&path, false);
    assert_eq!(verdict_of(&report, CheckId::StatePermissions), Fail);
    assert_eq!((mode(&state), mode(&key)), (0o755, 0o644), "only looked at");
    assert!(socket.exists());

    let report = examine(&path, true);
    assert_eq!(verdict_of(&report, CheckId::StatePermissions), Pass);
    assert_eq!((mode(&state), mode(&key)), (0o750, 0o600));
    assert!(!socket.exists());
    let fixed = report.checks.iter().filter(|check| check.fixed.is_some());
    assert_eq!(fixed.count(), 2);
    assert!(report.text().contains("fixed: "));
    assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "nothing is left");
}
