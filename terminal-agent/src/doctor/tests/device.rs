//! Reader and printer, by what they answer or what the agent says of them.

use super::*;

#[test]
fn a_reader_is_judged_by_its_answers() {
    let answers = |has_answered, firmware: &str, is_encrypting| {
        ReaderFact::Asked(ReaderAnswers {
            has_answered,
            firmware: firmware.to_owned(),
            is_encrypting,
        })
    };
    let state = |state| ReaderFact::Agent {
        port: PortState::Open {
            port: "/dev/x".to_owned(),
        },
        state,
        firmware: "V1".to_owned(),
    };
    let closed = ReaderFact::Agent {
        port: PortState::Starting,
        state: ReaderState::Absent,
        firmware: String::new(),
    };
    let fault = PortFault::NotFound {
        what: "/dev/x".to_owned(),
    };
    for (fact, expected) in [
        (answers(true, "V1", Some(true)), [Pass, Pass, Pass]),
        (answers(true, "", Some(true)), [Pass, Warn, Pass]),
        (answers(true, "V1", Some(false)), [Pass, Pass, Fail]),
        (answers(true, "V1", None), [Pass, Pass, Fail]),
        (answers(false, "", None), [Fail, Skip, Skip]),
        (state(ReaderState::Ready), [Pass, Pass, Pass]),
        (state(ReaderState::NotEncrypting), [Pass, Pass, Fail]),
        (state(ReaderState::Absent), [Fail, Skip, Skip]),
        (state(ReaderState::Starting), [Fail, Skip, Skip]),
        (closed, [Skip, Skip, Skip]),
        (ReaderFact::Fault(fault), [Skip, Skip, Skip]),
        (ReaderFact::NotTried("no"), [Skip, Skip, Skip]),
    ] {
        let checks = judge_reader(&fact);
        checks.iter().for_each(assert_helpful);
        let verdicts: Vec<_> = checks.iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, expected, "{fact:?}");
    }
}

#[test]
fn a_printer_is_judged_by_its_state() {
    use protocol::printer::PaperState as Sensed;
    let asked = |change: fn(&mut PrinterStatus)| {
        let mut status = PrinterStatus::default();
        change(&mut status);
        PrinterFact::Asked(Some(status))
    };
    let agent = |paper, trouble, is_online| PrinterFact::Agent {
        port: PortState::Open {
            port: "/dev/x".to_owned(),
        },
        is_online,
        paper,
        trouble,
    };
    for (fact, expected) in [
        (asked(|_| ()), [Pass, Pass]),
        (asked(|status| status.paper = Sensed::NearEnd), [Pass, Warn]),
        (
            asked(|status| {
                status.paper = Sensed::Out;
                status.online = false;
            }),
            [Pass, Fail],
        ),
        (asked(|status| status.cover_open = true), [Fail, Pass]),
        (asked(|status| status.cutter_error = true), [Fail, Pass]),
        (asked(|status| status.online = false), [Fail, Pass]),
        (PrinterFact::Asked(None), [Fail, Skip]),
        (agent(PaperState::Ok, None, true), [Pass, Pass]),
        (
            agent(PaperState::Out, Some(Trouble::NoPaper), false),
            [Pass, Fail],
        ),
        (agent(PaperState::Unknown, None, false), [Fail, Skip]),
        (
            agent(PaperState::Ok, Some(Trouble::CoverOpen), false),
            [Fail, Pass],
        ),
        (PrinterFact::NotTried("no"), [Skip, Skip]),
    ] {
        let checks = judge_printer(&fact);
        checks.iter().for_each(assert_helpful);
        let verdicts: Vec<_> = checks.iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, expected, "{fact:?}");
    }
    assert_eq!(trouble_of(&PrinterStatus::default()), None);
}
