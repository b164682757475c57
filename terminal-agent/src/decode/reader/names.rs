//! Commands, groups and tags by name, and which values may be shown; a tag that is not listed here
//! may not.

use protocol::reader::outcome::{TAG_ERROR, TAG_ERROR_OLD, TAG_RESULT, TAG_SWIPE};

/// Commands by group and number (card-reader.md §3 to §6).
const COMMANDS: &[(u8, u8, &str)] = &[
    (0x01, 0x01, "set poll mode"),
    (0x01, 0x02, "show message and beep"),
    (0x02, 0x40, "activate transaction"),
    (0x04, 0x00, "set configuration"),
    (0x05, 0x01, "cancel transaction"),
    (0x12, 0x01, "get serial number"),
    (0x18, 0x01, "ping"),
    (0x29, 0x00, "get firmware version"),
    (0x2C, 0x18, "power off the chip"),
    (0x60, 0x10, "contact: start"),
    (0x60, 0x11, "contact: authenticate"),
    (0x60, 0x12, "contact: apply the host's answer"),
    (0x60, 0x13, "contact: get the last result"),
    (0xC7, 0x37, "get encryption status"),
];

/// Groups of commands, as answers name them.
pub(super) const GROUPS: &[(u8, &str)] = &[
    (0x01, "interface"),
    (0x02, "transaction"),
    (0x04, "configuration"),
    (0x05, "cancel"),
    (0x12, "serial number"),
    (0x14, "boot notification"),
    (0x18, "ping"),
    (0x29, "firmware version"),
    (0x2C, "chip power"),
    (0x45, "interface event"),
    (0x60, "contact"),
    (0xC7, "encryption status"),
];

/// How a value may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// As hexadecimal digits: it says nothing of the card's number or holder.
    Hex,
    /// As text.
    Text,
    /// Never: card data.
    Secret,
}

/// Tags by name (EMV book 3 annex A; the vendor's own as card-reader.md §7 has them). Values of
/// tags that are not listed are not shown.
pub(super) const TAGS: &[(u32, &str, Show)] = &[
    (0x42, "issuer identification number", Show::Secret),
    (0x4F, "application id", Show::Hex),
    (0x50, "application label", Show::Text),
    (0x56, "track 1", Show::Secret),
    (0x57, "track 2 equivalent", Show::Secret),
    (0x5A, "account number", Show::Secret),
    (0x5F20, "cardholder name", Show::Secret),
    (0x5F24, "expiry", Show::Secret),
    (0x5F25, "effective date", Show::Secret),
    (0x5F28, "issuer country", Show::Hex),
    (0x5F2A, "currency", Show::Hex),
    (0x5F2D, "languages", Show::Text),
    (0x5F30, "service code", Show::Secret),
    (0x5F34, "account sequence number", Show::Hex),
    (0x5F36, "currency exponent", Show::Hex),
    (0x71, "issuer script 1", Show::Secret),
    (0x72, "issuer script 2", Show::Secret),
    (0x82, "application interchange profile", Show::Hex),
    (0x84, "dedicated file name", Show::Hex),
    (0x8A, "authorization response code", Show::Text),
    (0x8E, "verification method list", Show::Hex),
    (0x91, "issuer authentication data", Show::Secret),
    (0x95, "terminal verification results", Show::Hex),
    (0x9A, "transaction date", Show::Hex),
    (0x9B, "transaction status information", Show::Hex),
    (0x9C, "transaction type", Show::Hex),
    (0x9F02, "amount", Show::Hex),
    (0x9F03, "other amount", Show::Hex),
    (0x9F06, "application id of the terminal", Show::Hex),
    (0x9F07, "application usage control", Show::Hex),
    (0x9F08, "application version of the card", Show::Hex),
    (0x9F09, "application version of the terminal", Show::Hex),
    (0x9F0D, "issuer action code, default", Show::Hex),
    (0x9F0E, "issuer action code, denial", Show::Hex),
    (0x9F0F, "issuer action code, online", Show::Hex),
    (0x9F10, "issuer application data", Show::Secret),
    (0x9F12, "preferred application name", Show::Text),
    (0x9F1A, "terminal country", Show::Hex),
    (0x9F1E, "interface device serial number", Show::Text),
    (0x9F1F, "track 1 discretionary data", Show::Secret),
    (0x9F20, "track 2 discretionary data", Show::Secret),
    (0x9F21, "transaction time", Show::Hex),
    (0x9F26, "application cryptogram", Show::Hex),
    (0x9F27, "cryptogram information", Show::Hex),
    (0x9F33, "terminal capabilities", Show::Hex),
    (0x9F34, "verification method results", Show::Hex),
    (0x9F35, "terminal type", Show::Hex),
    (0x9F36, "application transaction counter", Show::Hex),
    (0x9F37, "unpredictable number", Show::Hex),
    (0x9F39, "entry mode", Show::Hex),
    (0x9F40, "additional terminal capabilities", Show::Hex),
    (0x9F41, "transaction sequence counter", Show::Hex),
    (0x9F53, "transaction category", Show::Hex),
    (0x9F66, "terminal transaction qualifiers", Show::Hex),
    (0x9F6B, "track 2 of a contactless stripe", Show::Secret),
    (0x9F6C, "card transaction qualifiers", Show::Hex),
    (0x9F6E, "form factor", Show::Hex),
    (0xDF_EE12, "key serial number", Show::Hex),
    (TAG_SWIPE, "magstripe block", Show::Secret),
    (TAG_RESULT, "transaction result", Show::Hex),
    (0xDF_EE26, "attribution", Show::Hex),
    (0xDF_EE7E, "burst mode", Show::Hex),
    (0xDF_EF37, "interfaces", Show::Hex),
    (0xDF_EF3C, "fallback and next command", Show::Hex),
    (0xDF_EF4B, "encrypted tracks", Show::Secret),
    (0xDF_EF4C, "track lengths", Show::Hex),
    (0xDF_EF4D, "encrypted track data", Show::Secret),
    (TAG_ERROR, "contactless error", Show::Hex),
    (TAG_ERROR_OLD, "contactless error", Show::Hex),
    (0xFF_EE01, "vendor group", Show::Secret),
    (0xFF_8105, "data record", Show::Secret),
    (0xFF_8106, "discretionary data", Show::Secret),
];

pub(super) fn command_name(cmd: u8, sub: u8) -> &'static str {
    let found = COMMANDS.iter().find(|(a, b, _)| (*a, *b) == (cmd, sub));
    found.map_or("unknown command", |(_, _, name)| name)
}
