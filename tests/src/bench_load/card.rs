//! Card data as a reader would send it, made once per amount so that the load is cheap to make.

use std::io;

use firmware_sim::cards::{self, Way};
use firmware_sim::reader::{
    Input, Output, Presentation, Reader, ReaderConfig, ReaderQuirks, Timing,
};
use protocol::money::Money;
use protocol::reader::command::{self, Activate, Interfaces};
use protocol::reader::frame::ResponseDecoder;

/// A tap of a card that approves, encrypted by the simulated reader for this amount.
///
/// # Errors
/// When the reader does not read it.
pub(crate) fn tap(amount: Money) -> io::Result<Vec<u8>> {
    // A notice that a card was detected would come before the data.
    let config = ReaderConfig {
        timing: Timing::INSTANT,
        quirks: ReaderQuirks {
            interface_events: false,
            polls_at_power_on: false,
            ..ReaderQuirks::default()
        },
        ..ReaderConfig::demo()
    };
    let mut reader = Reader::new(config, 0);
    let activate = Activate {
        amount,
        timeout_s: 30,
        interfaces: Interfaces::ALL,
        next_command_s: 96,
    };
    let activate = command::activate(activate).map_err(io::Error::other)?;
    let card = cards::find("visa").ok_or(io::ErrorKind::NotFound)?;
    reader.handle(1, Input::Deadline);
    reader.handle(1, Input::Host(&activate.encode()));
    let outputs = reader.handle(
        1,
        Input::Present(Presentation {
            card,
            way: Way::Tap,
        }),
    );
    let mut decoder = ResponseDecoder::default();
    outputs
        .iter()
        .flat_map(|Output::Host(bytes)| decoder.decode(bytes))
        .filter(|response| response.cmd() == activate.cmd())
        .map(|response| response.into_data())
        .find(|data| !data.is_empty())
        .ok_or_else(|| io::Error::other("the reader gave no card data"))
}
