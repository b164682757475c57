//! What is refused, and what wins.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::id_source::SystemIds;
use crate::store::StoreConfig;

fn args(listen: &str) -> ConfigArgs {
    ConfigArgs {
        data_dir: Some(PathBuf::from("/tmp/x")),
        listen: Some(listen.parse().unwrap()),
        ..ConfigArgs::default()
    }
}

#[test]
fn only_loopback_is_listened_on() {
    for listen in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
        assert!(
            Config::combine(&args(listen), FileForm::default()).is_ok(),
            "{listen}"
        );
    }
    for listen in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "8.8.8.8:1"] {
        assert!(
            matches!(
                Config::combine(&args(listen), FileForm::default()),
                Err(ConfigError::NotLoopback(_))
            ),
            "{listen}"
        );
    }
}

#[test]
fn with_tls_any_address_is_listened_on() {
    let text = "[tls]\ncertificate = '/a.pem'\nkey = '/a.key'";
    for listen in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "127.0.0.1:1"] {
        let form = toml::from_str(text).unwrap();
        let config = Config::combine(&args(listen), form).unwrap();
        assert_eq!(config.tls.unwrap().key, Path::new("/a.key"), "{listen}");
    }
    for text in [
        "[tls]",
        "[tls]\ncertificate = '/a.pem'",
        "[tls]\ncertificate = '/a.pem'\nkey = '/a.key'\nca = '/b'",
    ] {
        assert!(toml::from_str::<FileForm>(text).is_err(), "{text}");
    }
}

#[test]
fn the_command_line_wins_and_typing_errors_are_found() {
    let form: FileForm =
        toml::from_str("data_dir = '/var/a'\nlisten = '127.0.0.1:9'\n[tips]\nbps_max = 1000\n")
            .unwrap();
    let config = Config::combine(&args("127.0.0.1:8"), form).unwrap();
    assert_eq!(config.data_dir, Path::new("/tmp/x"));
    assert_eq!(config.listen.port(), 8);
    assert_eq!(config.tips.bps_max, 1_000);
    assert_eq!(config.tips.hours_max, TipLimits::default().hours_max);
    assert!(toml::from_str::<FileForm>("data_dri = 'x'").is_err());
    assert!(toml::from_str::<FileForm>("[limits]\nin_flight = 1").is_err());
    let form: FileForm = toml::from_str("[store]\nreserve_bytes = 5").unwrap();
    let incarnation = protocol::id::IncarnationId::from_uuid(uuid::Uuid::nil());
    let defaults = StoreConfig::new("/x", incarnation);
    let store = form.store.over(defaults.clone());
    assert_eq!(store.reserve_bytes, 5);
    assert_eq!(store.segment_bytes, defaults.segment_bytes);
    let form: FileForm = toml::from_str("[limits]\nin_flight_max = 0").unwrap();
    assert!(matches!(
        Config::combine(&args("127.0.0.1:8"), form),
        Err(ConfigError::ZeroLimit("in_flight_max"))
    ));
}

#[test]
fn a_reversal_cannot_overtake_what_it_undoes() {
    for (text, is_good) in [
        ("", true),
        (
            "[acquirer]\nanswer_timeout_ms = 8000\nlongest_delay_ms = 14000",
            true,
        ),
        (
            "[acquirer]\nanswer_timeout_ms = 8000\nlongest_delay_ms = 13000",
            false,
        ),
        ("[acquirer]\nanswer_timeout_ms = 0", false),
        ("[acquirer]\nlongest_delay_ms = 3600001", false),
    ] {
        let form = toml::from_str(text).unwrap();
        let config = Config::combine(&args("127.0.0.1:1"), form);
        assert_eq!(config.is_ok(), is_good, "{text}: {config:?}");
    }
}

#[test]
fn faults_are_on_in_test_mode_and_ending_the_process_is_not() {
    for (text, policy) in [
        (
            "",
            Policy::On {
                allows_engine_restart: false,
            },
        ),
        (
            "[sandbox]\nallow_engine_restart = true",
            Policy::On {
                allows_engine_restart: true,
            },
        ),
        (
            "[sandbox]\nfaults = false\nallow_engine_restart = true",
            Policy::Off,
        ),
    ] {
        let form: FileForm = toml::from_str(text).unwrap();
        let config = Config::combine(&args("127.0.0.1:8"), form).unwrap();
        assert_eq!(config.sandbox, policy, "{text}");
    }
}

#[test]
fn the_operator_token_is_made_once_and_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(OPERATOR_TOKEN_FILE);
    let first = operator_token(dir.path(), SystemIds).unwrap();
    assert_eq!(operator_token(dir.path(), SystemIds).unwrap(), first);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        operator_token(dir.path(), SystemIds),
        Err(ConfigError::TokenExposed { mode: 0o644, .. })
    ));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "").unwrap();
    assert!(matches!(
        operator_token(dir.path(), SystemIds),
        Err(ConfigError::TokenMalformed(_))
    ));
}
