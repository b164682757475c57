//! Any input in any order.

use super::*;

proptest! {
    #[test]
    fn no_input_makes_it_panic_spin_or_end_a_job_twice(
        steps in proptest::collection::vec((0u8..11, any::<Vec<u8>>(), 0u64..40_000), 0..60),
        reprints: bool,
        names: bool,
    ) {
        let mut machine = PrinterMachine::new(PrinterConfig {
            reprints_interrupted: reprints,
            confirmation: if names { Confirmation::ProcessId } else { Confirmation::PaperStatus },
            ..PrinterConfig::new(32)
        });
        let mut out = Vec::new();
        let mut now_ms = 0;
        for (n, (kind, bytes, pass_ms)) in steps.iter().enumerate() {
            now_ms += pass_ms;
            match kind {
                0 => machine.handle(now_ms, Input::PortOpened, &mut out),
                1 => machine.handle(now_ms, Input::PortClosed, &mut out),
                2 => machine.handle(now_ms, Input::Bytes(bytes), &mut out),
                3 => machine.handle(now_ms, Input::Bytes(&READY), &mut out),
                4 => machine.handle(now_ms, Input::Bytes(&[0]), &mut out),
                5 => machine.handle(now_ms, Input::Written(bytes.len()), &mut out),
                6 => machine.handle(now_ms, Input::Job {
                    job_id: id(u128::try_from(n).unwrap()),
                    receipt: receipt(30),
                    opens_drawer: false,
                }, &mut out),
                7 => machine.handle(now_ms, Input::Busy(bytes.len() % 2 == 1), &mut out),
                8 => for n in 0..steps.len() {
                    let job_id = id(u128::try_from(n).unwrap());
                    machine.handle(now_ms, Input::Begin { job_id }, &mut out);
                },
                9 => machine.handle(now_ms, Input::Bytes(MODEL), &mut out),
                _ => machine.handle(now_ms, Input::Deadline, &mut out),
            }
            let mut deadlines = 0;
            while machine.poll_deadline().is_some_and(|due_ms| due_ms <= now_ms) {
                machine.handle(now_ms, Input::Deadline, &mut out);
                deadlines += 1;
                prop_assert!(deadlines < 100, "spins");
            }
        }
        let mut ended = Vec::new();
        for output in &out {
            if let Output::JobReport { job_id, state } = output {
                prop_assert!(!ended.contains(job_id), "{job_id} moved after its end");
                if state.is_final() {
                    ended.push(*job_id);
                }
            }
        }
    }
}
