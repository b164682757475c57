//! The numbers of commands: groups, and sub-commands within them.
//!
//! Owns the numbers that both ends use, and no parameter.

/// Group of ping.
pub const PING: u8 = 0x18;
/// Group of the user interface and the poll mode.
pub const INTERFACE: u8 = 0x01;
/// Group of the contactless and combined transaction.
pub const ACTIVATE: u8 = 0x02;
/// Group of the configuration.
pub const CONFIGURATION: u8 = 0x04;
/// Group of cancel.
pub const CANCEL: u8 = 0x05;
/// Group of the serial number.
pub const SERIAL_NUMBER: u8 = 0x12;
/// Group of boot notifications, which the reader sends by itself.
pub const BOOT_NOTIFICATION: u8 = 0x14;
/// Group of the firmware version.
pub const FIRMWARE: u8 = 0x29;
/// Group of the contact slot's power.
pub const CONTACT_POWER: u8 = 0x2C;
/// Group of user interface events, which the reader sends by itself (`E` of `EU`).
pub const INTERFACE_EVENT: u8 = 0x45;
/// Group of the contact chip transaction.
pub const CONTACT: u8 = 0x60;
/// Group of what the reader asks of the host's display and keypad; see [`crate::reader::prompt`].
pub const PROMPT: u8 = 0x61;
/// Group of the key and encryption commands.
pub const ENCRYPTION: u8 = 0xC7;

/// Sub-command of poll mode in [`INTERFACE`].
pub const POLL_MODE: u8 = 0x01;
/// Sub-command of the user interface message in [`INTERFACE`].
pub const MESSAGE: u8 = 0x02;
/// Sub-command of the combined transaction in [`ACTIVATE`].
pub const ACTIVATE_TRANSACTION: u8 = 0x40;
/// Sub-command of cancel in [`CANCEL`].
pub const CANCEL_TRANSACTION: u8 = 0x01;
/// Sub-command of start in [`CONTACT`].
pub const CONTACT_START: u8 = 0x10;
/// Sub-command of authenticate in [`CONTACT`].
pub const CONTACT_AUTHENTICATE: u8 = 0x11;
/// Sub-command of apply host response in [`CONTACT`].
pub const CONTACT_APPLY_HOST_RESPONSE: u8 = 0x12;
/// Sub-command of the last result in [`CONTACT`].
pub const CONTACT_LAST_RESULT: u8 = 0x13;
/// Sub-command of power off in [`CONTACT_POWER`].
pub const CONTACT_POWER_OFF: u8 = 0x18;
/// Sub-command of the encryption status in [`ENCRYPTION`].
pub const ENCRYPTION_STATUS: u8 = 0x37;
/// Sub-command of the serial number in [`SERIAL_NUMBER`].
pub const SERIAL: u8 = 0x01;
/// Sub-command of ping in [`PING`].
pub const PING_SUB: u8 = 0x01;
