//! The status byte of a response.
//!
//! Owns its codes, and no rule about them.

use super::code::codes;

codes! {
    /// The status byte of a response (NEO2 guide, status code table).
    Status: u8 {
        /// Done.
        Ok = 0x00,
        /// The frame header was wrong.
        WrongHeader = 0x01,
        /// The command group is not known.
        UnknownCommand = 0x02,
        /// The command within the group is not known.
        UnknownSubCommand = 0x03,
        /// The CRC of the command was wrong.
        CrcError = 0x04,
        /// A parameter is wrong.
        WrongParameter = 0x05,
        /// A parameter is not supported.
        ParameterNotSupported = 0x06,
        /// The data cannot be read.
        MalformedData = 0x07,
        /// Nobody presented a card in time, or the device inside did not answer.
        Timeout = 0x08,
        /// Failed; contactless failures carry an error block.
        Failed = 0x0A,
        /// Not allowed in the present mode, or the value is not set.
        NotAllowed = 0x0B,
        /// The sub-command is not allowed in the present mode.
        SubCommandNotAllowed = 0x0C,
        /// Too much data for the reader.
        BufferOverflow = 0x0D,
        /// Not a result: something for the user interface, for example "card detected".
        UserInterfaceEvent = 0x0E,
        /// The kind of communication is not supported.
        CommunicationNotSupported = 0x11,
        /// The secure interface does not work.
        SecureInterfaceFailed = 0x12,
        /// A key or its module cannot be used (code 13).
        KeyError13 = 0x13,
        /// A key or its module cannot be used (code 14).
        KeyError14 = 0x14,
        /// A key or its module cannot be used (code 15).
        KeyError15 = 0x15,
        /// A key or its module cannot be used (code 16).
        KeyError16 = 0x16,
        /// A key or its module cannot be used (code 17).
        KeyError17 = 0x17,
        /// A key or its module cannot be used (code 18).
        KeyError18 = 0x18,
        /// A key or its module cannot be used (code 19).
        KeyError19 = 0x19,
        /// A key or its module cannot be used (code 1A).
        KeyError1A = 0x1A,
        /// A key or its module cannot be used (code 1B).
        KeyError1B = 0x1B,
        /// An application command could not be built.
        ApduEncoding = 0x1C,
        /// The tamper switch has opened: the reader has erased its keys.
        Tampered = 0x1D,
        /// The key loading protocol failed (code 20).
        KeyLoading20 = 0x20,
        /// The key loading protocol failed (code 21).
        KeyLoading21 = 0x21,
        /// The key loading protocol failed (code 22).
        KeyLoading22 = 0x22,
        /// Contactless: ask the issuer.
        RequestOnline = 0x23,
        /// A raw read was requested.
        RawRead = 0x24,
        /// The message index is not known.
        BadMessageIndex = 0x25,
        /// The requested data does not exist.
        NotFound = 0x60,
        /// The list of applications is full.
        ApplicationListFull = 0x61,
        /// The flash memory failed.
        FlashError = 0x62,
        /// The command was accepted; the final response follows.
        Pending = 0x63,
    }
}
