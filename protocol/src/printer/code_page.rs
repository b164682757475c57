//! Characters to bytes of the printer's code pages.
//!
//! A character without a place in the page becomes a question mark, never a control byte: names
//! in a receipt must not reach the printer as commands.

/// A code page of the printer, selected by `1B 74 n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodePage {
    /// PC437, the page after power-on. No euro sign.
    Cp437,
    /// PC858: PC850 with the euro sign at D5.
    Cp858,
    /// Windows 1252.
    Wpc1252,
}

/// What is printed for a character that the page does not have.
const REPLACEMENT: u8 = b'?';

/// Bytes 80…FF of PC437.
const CP437_UPPER: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
/// Bytes 80…FF of PC858.
const CP858_UPPER: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈ€ÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";
/// Bytes 80…9F of Windows 1252; U+FFFD marks the five that it leaves empty. A0…FF are Latin-1.
const WPC1252_MIDDLE: &str = "€\u{fffd}‚ƒ„…†‡ˆ‰Š‹Œ\u{fffd}Ž\u{fffd}\u{fffd}‘’“”•–—˜™š›œ\u{fffd}žŸ";

impl CodePage {
    /// The `n` of `1B 74 n`; Epson's numbers, which most makers follow.
    pub const fn number(self) -> u8 {
        match self {
            Self::Cp437 => 0,
            Self::Wpc1252 => 16,
            Self::Cp858 => 19,
        }
    }

    /// The byte that prints `character`, `?` when the page has none.
    pub fn byte(self, character: char) -> u8 {
        self.lookup(character)
            .or_else(|| plain_form(character))
            .unwrap_or(REPLACEMENT)
    }

    fn lookup(self, character: char) -> Option<u8> {
        if (' '..='~').contains(&character) {
            return u8::try_from(character).ok();
        }
        match self {
            Self::Cp437 => place(CP437_UPPER, character),
            Self::Cp858 => place(CP858_UPPER, character),
            Self::Wpc1252 if ('\u{a0}'..='\u{ff}').contains(&character) => {
                u8::try_from(character).ok()
            }
            Self::Wpc1252 if character == '\u{fffd}' => None,
            Self::Wpc1252 => place(WPC1252_MIDDLE, character),
        }
    }
}

fn place(upper: &str, character: char) -> Option<u8> {
    let offset = upper.chars().position(|candidate| candidate == character)?;
    u8::try_from(offset).ok()?.checked_add(0x80)
}

/// The ASCII form of typographic marks, one character for one so that columns stay true.
fn plain_form(character: char) -> Option<u8> {
    match character {
        '‘' | '’' | '‚' | 'ʼ' => Some(b'\''),
        '“' | '”' | '„' => Some(b'"'),
        '‐' | '‑' | '‒' | '–' | '—' | '−' => Some(b'-'),
        '•' => Some(b'*'),
        '\u{a0}' | '\u{2009}' | '\u{202f}' => Some(b' '),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_complete() {
        assert_eq!(CP437_UPPER.chars().count(), 128);
        assert_eq!(CP858_UPPER.chars().count(), 128);
        assert_eq!(WPC1252_MIDDLE.chars().count(), 32);
    }

    #[test]
    fn characters_stand_where_the_pages_have_them() {
        // From Microsoft's published tables of code pages 437, 858 and 1252.
        for (page, character, byte) in [
            (CodePage::Cp858, '€', 0xd5),
            (CodePage::Cp858, 'ä', 0x84),
            (CodePage::Cp858, 'ß', 0xe1),
            (CodePage::Cp858, '£', 0x9c),
            (CodePage::Cp858, 'Ã', 0xc7),
            (CodePage::Cp437, 'é', 0x82),
            (CodePage::Cp437, 'Ω', 0xea),
            (CodePage::Cp437, '²', 0xfd),
            (CodePage::Cp437, '€', b'?'),
            (CodePage::Wpc1252, '€', 0x80),
            (CodePage::Wpc1252, 'Ÿ', 0x9f),
            (CodePage::Wpc1252, 'é', 0xe9),
            (CodePage::Wpc1252, 'Ω', b'?'),
            (CodePage::Wpc1252, '\u{fffd}', b'?'),
            (CodePage::Cp858, '’', b'\''),
            (CodePage::Cp858, '漢', b'?'),
        ] {
            assert_eq!(page.byte(character), byte, "{character:?} in {page:?}");
        }
    }

    #[test]
    fn no_character_becomes_a_control_byte() {
        for page in [CodePage::Cp437, CodePage::Cp858, CodePage::Wpc1252] {
            for character in (0..=0x2_ffff).filter_map(char::from_u32) {
                let byte = page.byte(character);
                assert!(byte >= 0x20 && byte != 0x7f, "{character:?} in {page:?}");
            }
        }
    }
}
