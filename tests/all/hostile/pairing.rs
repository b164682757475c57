//! Pairing: who gets a key accepted, and what that ends.

use harness::hand::{fresh_key, redeem};
use protocol::link::RefusedReason;

use super::Scene;

#[test]
fn a_code_is_good_for_one_key() {
    let mut scene = Scene::open();
    let base = scene.till.base.clone();
    let terminal_id = scene.till.terminal_id;
    let code = scene.counter.pairing_code(terminal_id);
    let mut link = scene.link();

    let key = fresh_key();
    let paired = redeem(&base, &code, &key);
    assert_eq!(paired.status, 200, "{}", paired.text);
    assert!(link.is_closed_by_engine(), "the old key's link is dropped");
    assert_eq!(scene.till.link().err(), Some(RefusedReason::Unauthorized));

    let again = redeem(&base, &code, &key);
    assert_eq!(
        (again.status, again.data()),
        (200, paired.data()),
        "the answer may have been lost"
    );
    let typed = redeem(&base, &code.to_lowercase().replace('-', " "), &key);
    assert_eq!(typed.status, 200);
    let thief = redeem(&base, &code, &fresh_key());
    assert_eq!((thief.status, thief.code()), (422, "PAIRING_CODE_INVALID"));

    scene.till.key = key;
    let mut link = scene.link();
    // Asking again did not drop the new link either.
    assert_eq!(redeem(&base, &code, &scene.till.key).status, 200);
    let grant = scene.granted(&mut link, 5_000);

    let code = scene.counter.pairing_code(terminal_id);
    let open = redeem(&base, &code, &fresh_key());
    assert_eq!((open.status, open.code()), (409, "TERMINAL_HAS_OPEN_WORK"));
    scene.finish(&mut link, &grant);
    scene.close();
}

#[test]
fn guessing_codes_is_slowed_down() {
    let mut scene = Scene::open();
    let base = scene.till.base.clone();
    let code = scene.counter.pairing_code(scene.till.terminal_id);
    let key = fresh_key();
    let answers: Vec<u16> = (0..40)
        .map(|_| redeem(&base, "BCDFG-HJKLM", &key).status)
        .collect();
    let wrong = answers.iter().filter(|status| **status == 422).count();
    assert_eq!(wrong, 5, "{answers:?}");
    assert!(
        answers.iter().all(|status| matches!(status, 422 | 429)),
        "{answers:?}"
    );
    // The right code is no way around the limit.
    let limited = redeem(&base, &code, &key);
    assert_eq!(limited.status, 429);
    assert!(["RATE_LIMITED", "PAIRING_LOCKED_OUT"].contains(&limited.code()));
    assert!(
        limited
            .header("Retry-After")
            .parse::<u64>()
            .is_ok_and(|seconds| seconds >= 1)
    );
    let mut link = scene.link();
    let grant = scene.granted(&mut link, 5_100);
    scene.finish(&mut link, &grant);
    scene.close();
}
