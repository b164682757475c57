//! The till's own machine and its way to the engine.

use super::*;

#[test]
fn the_state_directory_is_judged_by_modes_and_room() {
    let path = Path::new("/state");
    let fact = |mode, key_mode, free| StateFact {
        refusal: None,
        exists: true,
        mode: Some(mode),
        owner: Some(990),
        secrets: vec![("device-key".to_owned(), key_mode, 990)],
        free,
    };
    let room = Some((1 << 30, 1_000));
    for (fact, permissions, disk) in [
        (fact(0o750, 0o600, room), Pass, Pass),
        (fact(0o700, 0o400, room), Pass, Pass),
        (fact(0o755, 0o600, room), Fail, Pass),
        (fact(0o770, 0o600, room), Fail, Pass),
        (fact(0o750, 0o640, Some((1 << 20, 9))), Fail, Fail),
        (fact(0o750, 0o600, Some((50 << 20, 9))), Pass, Warn),
        (fact(0o750, 0o600, Some((1 << 30, 0))), Pass, Fail),
        (fact(0o750, 0o600, None), Pass, Skip),
    ] {
        let checks = [
            host::judge_permissions(path, &fact),
            host::judge_disk(&fact),
        ];
        checks.iter().for_each(assert_helpful);
        assert_eq!(
            checks.map(|check| check.verdict),
            [permissions, disk],
            "{fact:?}"
        );
    }
    let foreign = StateFact {
        secrets: vec![("device-key".to_owned(), 0o600, 0)],
        ..fact(0o750, 0o600, room)
    };
    assert_eq!(host::judge_permissions(path, &foreign).verdict, Fail);
    assert_eq!(
        host::judge_writable(path, &StateFact::default()).verdict,
        Fail
    );
}

#[test]
fn certificates_and_clocks_are_judged_by_seconds() {
    for (theirs, expected) in [
        (1_000_000, Pass),
        (1_000_029, Pass),
        (1_000_031, Warn),
        (999_400, Warn),
        (999_399, Fail),
        (2_000_000, Fail),
    ] {
        let check = clock::judge_skew(&Ok((theirs, 1_000_000)));
        assert_helpful(&check);
        assert_eq!(check.verdict, expected, "{theirs}");
    }
    assert_eq!(clock::judge_skew(&Err("no".to_owned())).verdict, Warn);
    let fault = TlsFault::Expired { not_after_s: 1 };
    let check = network::judge_tls(&Err(fault), 0);
    assert_helpful(&check);
    assert_eq!(check.code.as_deref(), Some("TLS_CERTIFICATE_EXPIRED"));
    for (url, verdict) in [("ws://127.0.0.1:1/x", Skip), ("http://192.0.2.1:80", Fail)] {
        let target = Target::parse(url).unwrap();
        assert_eq!(network::judge_plain_text(&target).verdict, verdict);
    }
    for sync in [Some(true), Some(false), None] {
        assert_helpful(&clock::judge_clock(sync));
    }
}

#[test]
fn names_and_ports_are_judged_by_what_the_system_says() {
    let target = Target::parse("wss://[::1]:7437/v1/agent/link").unwrap();
    assert_eq!((target.host.as_str(), target.port), ("::1", 7437));
    assert_eq!(Target::parse("ftp://x"), None);
    assert_eq!(Target::parse("nonsense"), None);
    let refused = Err("refused".to_owned());
    assert_helpful(&network::judge_dns(&target, &Err("no".to_owned())));
    assert_helpful(&network::judge_tcp(&refused));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let closed = "127.0.0.1:1".parse().unwrap();
    assert_eq!(network::look_at_port(&[closed, address]), Ok(address));
    drop(listener);
    assert!(network::look_at_port(&[address]).is_err());
}
