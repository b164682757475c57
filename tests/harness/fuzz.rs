//! Fuzz targets: every decoder that meets bytes from outside, and what must hold for any bytes.
//!
//! A target is a function of bytes that panics when a property breaks; it reads no clock and keeps
//! nothing between two calls, so a crash is its input. Two drivers feed them: [`driver`], which
//! needs nothing but this workspace, and `tests/fuzz`, which lets libFuzzer look for new paths.
//! `docs/fuzzing.md` says how to run both.

mod capture;
mod card;
pub mod corpus;
mod device;
mod directory;
pub mod driver;
mod history;
mod http;
mod input;
mod journal;
mod link;
mod machine;
pub mod mutate;
mod printer;
mod property;
mod reader;
mod settings;
mod store;
mod stored;

/// One decoder, or one machine behind a decoder.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on command lines, and of its directory in the corpus.
    pub name: &'static str,
    /// Panics when these bytes break a property.
    pub run: fn(&[u8]),
    /// Good inputs, made by encoders and from the vectors.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of the format.
    pub dictionary: &'static [&'static [u8]],
}

macro_rules! targets {
    ($($name:literal $module:ident::$run:ident $seeds:ident $dictionary:ident;)*) => {
        &[$(Target {
            name: $name,
            run: $module::$run,
            seeds: $module::$seeds,
            dictionary: $module::$dictionary,
        },)*]
    };
}

/// Every target.
pub static TARGETS: &[Target] = targets! {
    "link_to_agent" link::to_agent to_agent_seeds WORDS;
    "link_to_engine" link::to_engine to_engine_seeds WORDS;
    "link_handshake" link::handshake handshake_seeds WORDS;
    "reader_responses" reader::responses response_seeds WORDS;
    "reader_commands" reader::commands command_seeds WORDS;
    "reader_hid" reader::hid_reports hid_seeds WORDS;
    "reader_tlv" reader::tlvs tlv_seeds WORDS;
    "reader_swipe" reader::swipe swipe_seeds WORDS;
    "reader_outcome" reader::outcome tlv_seeds WORDS;
    "card_data" card::card_data card_seeds WORDS;
    "card_summary" card::card_summary card_seeds WORDS;
    "printer_status" printer::status status_seeds WORDS;
    "printer_code_page" printer::code_page text_seeds WORDS;
    "receipt_layout" printer::receipt receipt_seeds WORDS;
    "agent_decode_reader" capture::reader reader_seeds WORDS;
    "agent_decode_printer" capture::printer printer_seeds WORDS;
    "agent_decode_link" capture::link_frames link_seeds WORDS;
    "agent_decode_input" capture::text text_seeds WORDS;
    "agent_redact" capture::redacted text_seeds WORDS;
    "agent_journal" journal::journal journal_seeds WORDS;
    "agent_journal_entry" journal::entry entry_seeds WORDS;
    "engine_log_batch" store::batch batch_seeds WORDS;
    "engine_log_records" store::records record_seeds WORDS;
    "engine_store_files" directory::files file_seeds WORDS;
    "engine_store_damage" directory::damage damage_seeds WORDS;
    "engine_checkpoint" store::checkpoint checkpoint_seeds WORDS;
    "engine_history_file" history::file file_seeds WORDS;
    "engine_packed_segment" history::segment segment_seeds WORDS;
    "acquirer_book" store::book book_seeds WORDS;
    "engine_rows" stored::rows row_seeds WORDS;
    "http_request" http::request request_seeds WORDS;
    "http_json" http::json json_seeds WORDS;
    "engine_config" settings::engine_config engine_config_seeds WORDS;
    "agent_config" settings::agent_config agent_config_seeds WORDS;
    "agent_control" settings::agent_control agent_control_seeds WORDS;
    "simulator_control" settings::simulator_control simulator_control_seeds WORDS;
    "simulator_script" settings::simulator_script script_seeds WORDS;
    "reader_machine" device::reader reader_seeds WORDS;
    "printer_machine" device::printer printer_seeds WORDS;
    "agent_reader_machine" machine::reader reader_seeds WORDS;
    "agent_printer_machine" machine::printer printer_seeds WORDS;
    "agent_machine" machine::agent agent_seeds WORDS;
};

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
