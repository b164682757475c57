//! Readers and printers on real USB, in a small machine.

use std::path::Path;

use harness::shop::Devices;
use harness::usb::{Kernel, run};

#[test]
fn a_till_on_real_usb_sells_prints_and_survives_pulled_cables() {
    let kernel = match Kernel::find() {
        Ok(kernel) => kernel,
        Err(absent) => {
            println!("skipped: {}; `.ci/run` installs what is needed", absent.0);
            return;
        }
    };
    let dir = tempfile::tempdir().unwrap();
    let devices = Devices::start(&dir.path().join("devices"), true).unwrap();
    let shop = Path::new(env!("CARGO_BIN_EXE_usb-shop"));
    let said = run(&kernel, shop, &dir.path().join("machine"), &devices).unwrap();
    assert!(
        said.contains("usb-shop: passed"),
        "the machine said:\n{said}"
    );
    assert_eq!(devices.violations(), 0, "{said}");
    let paper = devices.paper(1).unwrap();
    // In letters of double width.
    assert!(paper.contains("A P P R O V E D"), "{paper}");
}
