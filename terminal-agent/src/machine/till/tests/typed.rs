//! The payer's tip, and whole lines where there are no single keys.

use super::*;

#[test]
fn the_payer_chooses_a_tip_once() {
    for (keys, choice) in [
        ("1", TipChoice::Option(0)),
        ("22", TipChoice::Option(1)),
        ("0", TipChoice::None),
        ("o350\n", TipChoice::Amount(usd(350))),
        ("o^1", TipChoice::Option(0)),
    ] {
        let mut desk = Desk::ready();
        desk.screen(tip_screen());
        assert_eq!(desk.till.view(desk.now_ms).seconds_left, Some(30));
        assert!(desk.text().contains("20%  USD 2.00"), "{}", desk.text());
        desk.keys(keys);
        let asked = desk.asked();
        assert!(
            matches!(asked[..], [Line::ChooseTip { choice: it, .. }] if *it == choice),
            "{keys}: {asked:?}"
        );
    }
    let mut desk = Desk::ready();
    desk.screen(tip_screen());
    desk.keys("39");
    assert!(desk.asked().is_empty());
}

#[test]
fn lines_are_amounts_keys_and_names() {
    let mut desk = Desk::ready();
    let type_in = |desk: &mut Desk, line: &str| desk.input(Input::Typed(line.to_owned()));
    type_in(&mut desk, "12.50");
    assert_eq!(desk.till.view(0).amount, Some(usd(1_250)));
    type_in(&mut desk, "12.5");
    assert!(desk.text().contains("That is no amount"), "{}", desk.text());
    type_in(&mut desk, "4761739001010010");
    assert!(
        desk.text().contains("That is no amount") && !desk.text().contains("4761"),
        "{}",
        desk.text()
    );
    type_in(&mut desk, "authorization");
    type_in(&mut desk, "t");
    type_in(&mut desk, "nonsense");
    assert!(desk.text().contains("Not understood"), "{}", desk.text());
    type_in(&mut desk, "");
    let line = desk.take_sale();
    assert!(
        matches!(
            line,
            Line::Sale {
                kind: PosKind::Authorization,
                tip_prompt: true,
                ..
            }
        ),
        "{line:?}"
    );
    desk.screen(tip_screen());
    type_in(&mut desk, "other");
    type_in(&mut desk, "3.50");
    type_in(&mut desk, "");
    assert!(
        matches!(desk.asked()[..], [Line::ChooseTip { choice: TipChoice::Amount(tip), .. }]
        if *tip == usd(350))
    );
    type_in(&mut desk, "back");
    type_in(&mut desk, "cancel");
    assert!(
        matches!(
            desk.asked()[..],
            [Line::ChooseTip { .. }, Line::Cancel { .. }]
        ),
        "{:?}",
        desk.asked()
    );
}
