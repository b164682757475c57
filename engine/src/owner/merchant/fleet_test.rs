//! What merchants may say of their tills, and how it reaches them.

use std::sync::Arc;

use protocol::id::{JournalId, TerminalId};
use protocol::link::{Configuration, ConfigurationRefused, ConfigurationReport, ToAgent};
use uuid::Uuid;

use super::bench::Bench;
use super::{Effect, MerchantInput, TerminalEvent};
use crate::domain::merchant::{DeviceKey, Terminal};
use crate::domain::rejection::Rejection;
use crate::domain::rollout::{CONFIRM_MS, Progress, SETTLE_MS};
use crate::domain::terminal_settings::{TerminalDefaults, TerminalSettings};
use crate::domain::token::Secret;
use crate::owner::key;
use crate::owner::request::{Answer, ChangeTerminal, RedeemPairingCode, Reply, Request};
use crate::owner::work::Stored as _;
use crate::store::Rows as _;

fn change(bench: &Bench) -> ChangeTerminal {
    ChangeTerminal {
        terminal_id: bench.terminal_id,
        label: None,
        location: None,
    }
}

fn changed(bench: &mut Bench, change: ChangeTerminal) -> Terminal {
    match bench.ask(None, Request::ChangeTerminal(change)) {
        Some(Ok(Reply::Fresh(Answer::TerminalChanged(terminal)))) => *terminal,
        other => panic!("not changed: {other:?}"),
    }
}

fn text(idle_text: &str) -> TerminalSettings {
    TerminalSettings {
        idle_text: Some(idle_text.to_owned()),
        ..TerminalSettings::default()
    }
}

fn set_own(bench: &mut Bench, settings: TerminalSettings) {
    let terminal_id = bench.terminal_id;
    let request = Request::SetTerminalSettings {
        terminal_id,
        settings,
    };
    let answer = bench.ask(None, request);
    assert!(matches!(answer, Some(Ok(_))), "{answer:?}");
}

fn set_all(bench: &mut Bench, settings: TerminalSettings, in_waves: bool) -> TerminalDefaults {
    match bench.ask(None, Request::SetTerminalDefaults { settings, in_waves }) {
        Some(Ok(Reply::Fresh(Answer::TerminalDefaultsSet(defaults)))) => *defaults,
        other => panic!("not set: {other:?}"),
    }
}

/// What tills were told since the last look: terminal, version, first value.
fn told(bench: &mut Bench) -> Vec<(TerminalId, u64, Option<String>)> {
    let effects = std::mem::take(&mut bench.effects);
    effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Configure {
                terminal_id,
                configuration,
            } => {
                let Configuration { version, settings } = Arc::unwrap_or_clone(configuration);
                let value = settings.into_iter().next().map(|setting| setting.value);
                Some((terminal_id, version, value))
            }
            _ => None,
        })
        .collect()
}

fn defaults(bench: &Bench) -> TerminalDefaults {
    let row = bench.store.get(&key::terminal_defaults(bench.merchant_id));
    TerminalDefaults::from_bytes(&row.unwrap().unwrap()).unwrap()
}

fn pair(bench: &mut Bench, terminal_id: TerminalId) {
    let request = Request::CreatePairingCode {
        terminal_id,
        life_s: 60,
        serial_number: None,
        code: Secret::new(format!("code of {terminal_id}")),
    };
    let Some(Ok(Reply::Fresh(Answer::PairingCodeCreated(code, _)))) = bench.ask(None, request)
    else {
        panic!("no code")
    };
    let redeem = RedeemPairingCode {
        code_id: code.id,
        device_key: DeviceKey([9; 32]),
        serial_number: None,
    };
    let paired = bench.ask(None, Request::RedeemPairingCode(redeem));
    assert!(matches!(paired, Some(Ok(_))), "{paired:?}");
}

/// Makes more terminals and links them; all of them, in the order of their ids.
fn link_more(bench: &mut Bench, count: usize) -> Vec<TerminalId> {
    let mut all = vec![bench.terminal_id];
    for _ in 0..count {
        let request = Request::CreateTerminal {
            label: "Lane".to_owned(),
            serial_number: None,
        };
        let Some(Ok(Reply::Fresh(Answer::TerminalCreated(terminal)))) = bench.ask(None, request)
        else {
            panic!("no terminal")
        };
        pair(bench, terminal.id);
        event(
            bench,
            terminal.id,
            TerminalEvent::Up {
                socket: 77,
                journal_id: JournalId::from_uuid(Uuid::from_u128(77)),
                open: Vec::new(),
                prints: Vec::new(),
            },
        );
        all.push(terminal.id);
    }
    bench.effects.clear();
    all
}

fn event(bench: &mut Bench, terminal_id: TerminalId, event: TerminalEvent) {
    bench.input(MerchantInput::Terminal { terminal_id, event });
}

fn confirms(bench: &mut Bench, terminal_id: TerminalId, applied: u64) {
    let report = ConfigurationReport {
        applied,
        refused: None,
    };
    event(bench, terminal_id, TerminalEvent::Configured(report));
}

#[test]
fn label_and_place_are_changed_apart_and_survive_a_restart() {
    let mut bench = Bench::new();
    let place = ChangeTerminal {
        location: Some(Some("Cellar".to_owned())),
        ..change(&bench)
    };
    let terminal = changed(&mut bench, place);
    assert_eq!(terminal.location.as_deref(), Some("Cellar"));
    let renamed = ChangeTerminal {
        label: Some("Bar".to_owned()),
        ..change(&bench)
    };
    let terminal = changed(&mut bench, renamed);
    assert_eq!(terminal.label, "Bar");
    assert_eq!(terminal.location.as_deref(), Some("Cellar"));
    bench.restart();
    let same = change(&bench);
    assert_eq!(changed(&mut bench, same), terminal);
    let cleared = ChangeTerminal {
        location: Some(None),
        ..change(&bench)
    };
    assert_eq!(changed(&mut bench, cleared).location, None);
    let stranger = ChangeTerminal {
        terminal_id: TerminalId::from_uuid(Uuid::from_u128(99)),
        ..change(&bench)
    };
    let refused = bench.ask(None, Request::ChangeTerminal(stranger));
    assert_eq!(refused, Some(Err(Rejection::NotFound)));
}

#[test]
fn a_change_with_a_key_is_made_once() {
    let mut bench = Bench::new();
    let first = ChangeTerminal {
        label: Some("Bar".to_owned()),
        ..change(&bench)
    };
    let key = Some("k");
    bench.ask(key, Request::ChangeTerminal(first.clone()));
    let other = ChangeTerminal {
        label: Some("Door".to_owned()),
        ..change(&bench)
    };
    changed(&mut bench, other);
    let again = bench.ask(key, Request::ChangeTerminal(first));
    assert!(matches!(again, Some(Ok(Reply::Replayed(_)))), "{again:?}");
    let same = change(&bench);
    assert_eq!(changed(&mut bench, same).label, "Door");
}

#[test]
fn what_was_never_set_is_never_told() {
    let mut bench = Bench::new();
    bench.link_back(Vec::new());
    assert_eq!(told(&mut bench), []);
    set_own(&mut bench, TerminalSettings::default());
    assert_eq!(told(&mut bench), [], "nothing was changed");
}

#[test]
fn settings_are_told_at_once_and_on_every_link() {
    let mut bench = Bench::new();
    let id = bench.terminal_id;
    let some = |text: &str| Some(text.to_owned());
    set_all(&mut bench, text("all"), false);
    assert_eq!(told(&mut bench), [(id, 1, some("all"))]);
    set_own(&mut bench, text("own"));
    assert_eq!(told(&mut bench), [(id, 2, some("own"))]);
    set_own(&mut bench, text("own"));
    assert_eq!(told(&mut bench), [], "nothing was changed");
    bench.restart();
    bench.link_back(Vec::new());
    let is_welcome = |effect: &Effect| matches!(effect, Effect::Welcome { .. });
    let is_told = |effect: &Effect| matches!(effect, Effect::Configure { .. });
    let (welcome, told_at) = (
        bench.effects.iter().position(is_welcome),
        bench.effects.iter().position(is_told),
    );
    assert!(welcome < told_at, "nothing goes out before the welcome");
    assert_eq!(told(&mut bench), [(id, 2, some("own"))]);
    set_own(&mut bench, TerminalSettings::default());
    assert_eq!(told(&mut bench), [(id, 3, some("all"))]);
}

#[test]
fn receipts_follow_the_settings() {
    let mut bench = Bench::new();
    let copies = |bench: &Bench| -> Vec<String> {
        let prints = bench
            .sent()
            .into_iter()
            .filter_map(|message| match message {
                ToAgent::Print(print) => Some(print.receipt.text(42)),
                _ => None,
            });
        prints.collect()
    };
    bench.approved();
    assert_eq!(copies(&bench).len(), 2);
    bench.effects.clear();
    let settings = TerminalSettings {
        prints_customer_copy: Some(false),
        receipt_footer: Some(vec!["Thank you!".to_owned()]),
        ..TerminalSettings::default()
    };
    set_own(&mut bench, settings);
    bench.effects.clear();
    bench.approved();
    let copies = copies(&bench);
    assert_eq!(copies.len(), 1);
    assert!(copies[0].contains("MERCHANT COPY"), "{}", copies[0]);
    assert!(copies[0].contains("Thank you!"), "{}", copies[0]);
}

#[test]
fn a_roll_out_goes_in_waves_and_over_restarts() {
    let mut bench = Bench::new();
    let all = link_more(&mut bench, 30);
    set_all(&mut bench, text("old"), false);
    assert_eq!(told(&mut bench).len(), 31);
    let set = set_all(&mut bench, text("new"), true);
    assert_eq!(set.current.version, 2);
    let first = told(&mut bench);
    let versions = |told: &[(TerminalId, u64, Option<String>)], version| -> Vec<TerminalId> {
        let of = told.iter().filter(|(_, found, _)| *found == version);
        of.map(|(terminal_id, ..)| *terminal_id).collect()
    };
    assert_eq!(versions(&first, 2), all[..1]);
    confirms(&mut bench, all[1], 1);
    assert!(!bench.is_at_rest(), "a roll-out is not forgotten");
    confirms(&mut bench, all[0], 2);
    bench.pass(SETTLE_MS);
    assert_eq!(versions(&told(&mut bench), 2), all[..4]);
    for terminal_id in &all[..4] {
        confirms(&mut bench, *terminal_id, 2);
    }
    bench.pass(SETTLE_MS);
    assert_eq!(versions(&told(&mut bench), 2), all);
    let rollout = defaults(&bench).rollout.unwrap();
    assert_eq!(rollout.progress, Progress::Done);
    bench.restart();
    bench.link_back(Vec::new());
    assert_eq!(versions(&told(&mut bench), 2), all[..1]);
}

#[test]
fn a_roll_out_stops_where_a_till_refuses_or_is_lost() {
    let mut bench = Bench::new();
    let all = link_more(&mut bench, 30);
    set_all(&mut bench, text("old"), false);
    set_all(&mut bench, text("bad"), true);
    let refused = Some(ConfigurationRefused {
        version: 2,
        reason: "no such setting".to_owned(),
    });
    let report = ConfigurationReport {
        applied: 1,
        refused,
    };
    event(&mut bench, all[0], TerminalEvent::Configured(report));
    let progress = |bench: &Bench| defaults(bench).rollout.unwrap().progress;
    let expected = Progress::Stopped {
        terminal_id: all[0],
        reason: "no such setting".to_owned(),
    };
    assert_eq!(progress(&bench), expected);
    bench.effects.clear();
    bench.pass(CONFIRM_MS);
    assert_eq!(told(&mut bench), []);

    // Taken back for all at once; then a till of the next one is lost.
    set_all(&mut bench, text("old"), false);
    assert_eq!(told(&mut bench).len(), 31);
    let set = set_all(&mut bench, text("new"), true);
    confirms(&mut bench, all[0], set.current.version);
    event(&mut bench, all[0], TerminalEvent::Down);
    bench.effects.clear();
    bench.pass(CONFIRM_MS);
    assert!(matches!(progress(&bench), Progress::Stopped { .. }));
    assert_eq!(told(&mut bench), []);
}
