//! Characters to bytes of the printer's code pages.
//!
//! What a page does not have is spelled with what it has ([`CodePage::readable`]: EUR for the euro
//! sign, letters without their marks), and becomes a question mark where nothing is known, never a
//! control byte: names in a receipt must not reach the printer as commands.

/// A code page of the printer, selected by `1B 74 n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodePage {
    /// PC437, the page after power-on. No euro sign.
    Cp437,
    /// PC850, Western Europe. No euro sign.
    Cp850,
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
/// Bytes 80…FF of PC858. PC850 differs in one: D5 is [`CP850_D5`].
const CP858_UPPER: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈ€ÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";
/// Byte D5 of PC850, where PC858 has the euro sign.
const CP850_D5: char = 'ı';
/// Bytes 80…9F of Windows 1252; U+FFFD marks the five that it leaves empty. A0…FF are Latin-1.
const WPC1252_MIDDLE: &str = "€\u{fffd}‚ƒ„…†‡ˆ‰Š‹Œ\u{fffd}Ž\u{fffd}\u{fffd}‘’“”•–—˜™š›œ\u{fffd}žŸ";

impl CodePage {
    /// All of them, with the names that configurations use.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("cp437", Self::Cp437),
        ("cp850", Self::Cp850),
        ("cp858", Self::Cp858),
        ("wpc1252", Self::Wpc1252),
    ];

    /// The page of this name; see [`CodePage::NAMES`].
    pub fn from_name(name: &str) -> Option<Self> {
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, page)| *page)
    }

    /// The `n` of `1B 74 n`; Epson's numbers, which most makers follow.
    pub const fn number(self) -> u8 {
        match self {
            Self::Cp437 => 0,
            Self::Cp850 => 2,
            Self::Wpc1252 => 16,
            Self::Cp858 => 19,
        }
    }

    /// The byte that prints `character`, `?` when the page has none.
    pub fn byte(self, character: char) -> u8 {
        self.lookup(character).unwrap_or_else(|| {
            let spelled = spelling(character).map(str::as_bytes);
            match spelled {
                Some([byte]) => *byte,
                _ => REPLACEMENT,
            }
        })
    }

    /// The text in characters that the page has, as far as they can be spelled: `12 €` becomes
    /// `12 EUR` where there is no euro sign. Longer than before at times, so it comes before the
    /// layout in columns.
    pub fn readable(self, text: &str) -> String {
        let mut readable = String::with_capacity(text.len());
        for character in text.chars() {
            match spelling(character) {
                Some(spelled) if self.lookup(character).is_none() => readable.push_str(spelled),
                _ => readable.push(character),
            }
        }
        readable
    }

    fn lookup(self, character: char) -> Option<u8> {
        if (' '..='~').contains(&character) {
            return u8::try_from(character).ok();
        }
        match self {
            Self::Cp437 => place(CP437_UPPER, character),
            Self::Cp850 if character == CP850_D5 => Some(0xd5),
            Self::Cp850 if character == '€' => None,
            Self::Cp850 | Self::Cp858 => place(CP858_UPPER, character),
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

/// Marks and ligatures in printable ASCII. docs/devices/printer.md has this table.
const SPELLINGS: [(&str, &str); 24] = [
    ("€", "EUR"),
    ("‘’‚ʼ′", "'"),
    ("“”„″", "\""),
    ("«", "<<"),
    ("»", ">>"),
    ("‐‑‒–—−", "-"),
    ("…", "..."),
    ("•·", "*"),
    ("\u{a0}\u{2009}\u{202f}", " "),
    ("×", "x"),
    ("÷", "/"),
    ("©", "(C)"),
    ("®", "(R)"),
    ("™", "(TM)"),
    ("№", "No"),
    ("Æ", "AE"),
    ("æ", "ae"),
    ("Œ", "OE"),
    ("œ", "oe"),
    ("ß", "ss"),
    ("ẞ", "SS"),
    ("Þ", "Th"),
    ("þ", "th"),
    ("¥", "JPY"),
];

/// Letters without their marks: Latin-1 and Latin Extended-A, with Romanian comma letters.
const BASE_LETTERS: [(&str, &str); 45] = [
    ("ÀÁÂÃÄÅĀĂĄ", "A"),
    ("àáâãäåāăą", "a"),
    ("ÇĆĈĊČ", "C"),
    ("çćĉċč", "c"),
    ("ÐĎĐ", "D"),
    ("ðďđ", "d"),
    ("ÈÉÊËĒĔĖĘĚ", "E"),
    ("èéêëēĕėęě", "e"),
    ("ĜĞĠĢ", "G"),
    ("ĝğġģ", "g"),
    ("ĤĦ", "H"),
    ("ĥħ", "h"),
    ("ÌÍÎÏĨĪĬĮİ", "I"),
    ("ìíîïĩīĭįı", "i"),
    ("Ĵ", "J"),
    ("ĵ", "j"),
    ("Ķ", "K"),
    ("ķ", "k"),
    ("ĹĻĽĿŁ", "L"),
    ("ĺļľŀł", "l"),
    ("ÑŃŅŇ", "N"),
    ("ñńņň", "n"),
    ("ÒÓÔÕÖØŌŎŐ", "O"),
    ("òóôõöøōŏő", "o"),
    ("ŔŖŘ", "R"),
    ("ŕŗř", "r"),
    ("ŚŜŞŠȘ", "S"),
    ("śŝşšșſ", "s"),
    ("ŢŤŦȚ", "T"),
    ("ţťŧț", "t"),
    ("ÙÚÛÜŨŪŬŮŰŲ", "U"),
    ("ùúûüũūŭůűų", "u"),
    ("Ŵ", "W"),
    ("ŵ", "w"),
    ("ÝŶŸ", "Y"),
    ("ýÿŷ", "y"),
    ("ŹŻŽ", "Z"),
    ("źżž", "z"),
    ("ĸ", "k"),
    ("Ŋ", "N"),
    ("ŋ", "n"),
    ("Ĳ", "IJ"),
    ("ĳ", "ij"),
    ("ŉ", "'n"),
    ("ƒ", "f"),
];

/// How a character is written with printable ASCII; a combining mark is left out.
fn spelling(character: char) -> Option<&'static str> {
    if ('\u{300}'..='\u{36f}').contains(&character) {
        return Some("");
    }
    SPELLINGS
        .iter()
        .chain(&BASE_LETTERS)
        .find(|(characters, _)| characters.contains(character))
        .map(|(_, spelled)| *spelled)
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
            (CodePage::Cp437, 'Ž', b'Z'),
            (CodePage::Cp850, 'ı', 0xd5),
            (CodePage::Cp850, 'ø', 0x9b),
            (CodePage::Cp850, '€', b'?'),
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
        for (_, page) in CodePage::NAMES {
            for character in (0..=0x2_ffff).filter_map(char::from_u32) {
                let byte = page.byte(character);
                assert!(byte >= 0x20 && byte != 0x7f, "{character:?} in {page:?}");
            }
        }
    }

    #[test]
    fn what_a_page_lacks_is_spelled() {
        for (page, text, expected) in [
            (CodePage::Cp437, "Total 12,34 €", "Total 12,34 EUR"),
            (CodePage::Cp850, "Total 12,34 €", "Total 12,34 EUR"),
            (CodePage::Cp858, "Total 12,34 €", "Total 12,34 €"),
            (CodePage::Wpc1252, "Total 12,34 €", "Total 12,34 €"),
            (CodePage::Cp437, "Café Øst Œuvre", "Café Ost OEuvre"),
            (CodePage::Cp858, "Kraków Łódź …", "Kraków Lódz ..."),
            (CodePage::Wpc1252, "“Žižkov” Iași", "“Žižkov” Iasi"),
            (CodePage::Cp858, "e\u{301}te\u{301} 漢", "ete 漢"),
        ] {
            assert_eq!(page.readable(text), expected, "{text} in {page:?}");
        }
        for (name, page) in CodePage::NAMES {
            assert_eq!(CodePage::from_name(name), Some(page));
        }
        assert_eq!(CodePage::from_name("utf8"), None);
    }

    #[test]
    fn spellings_are_printable_and_unambiguous() {
        let mut seen = std::collections::BTreeSet::new();
        for (characters, spelled) in SPELLINGS.iter().chain(&BASE_LETTERS) {
            assert!(spelled.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            for character in characters.chars() {
                assert!(seen.insert(character), "{character} has two spellings");
            }
        }
    }
}
