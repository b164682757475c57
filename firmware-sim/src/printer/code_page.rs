//! Bytes to characters: the code pages and international sets that the simulated printer has.

/// Bytes 80…FE of PC437.
const PC437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■";
/// Bytes 80…FE of PC858.
const PC858: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈ€ÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■";
/// Bytes 80…9F of Windows 1252; the five empty places hold U+FFFD.
const WPC1252: &str = "€\u{fffd}‚ƒ„…†‡ˆ‰Š‹Œ\u{fffd}Ž\u{fffd}\u{fffd}‘’“”•–—˜™š›œ\u{fffd}žŸ";
/// Places of the ASCII characters that national sets replace.
const REPLACED: &str = "#$@[\\]^`{|}~";
/// International set 2.
const GERMANY: &str = "#$§ÄÖÜ^`äöüß";
/// International set 3.
const UNITED_KINGDOM: &str = "£$@[\\]^`{|}~";

/// The character that `byte` prints in code page `page` (the n of `1B 74 n`) and international
/// set `set` (the n of `1B 52 n`).
pub(super) fn character(byte: u8, page: u8, set: u8) -> char {
    if byte < 0x80 {
        return national(char::from(byte), set);
    }
    let offset = usize::from(byte.saturating_sub(0x80));
    let found = match page {
        0 => PC437.chars().nth(offset),
        // The page before the euro: one place differs.
        2 if byte == 0xd5 => Some('ı'),
        2 | 19 => PC858.chars().nth(offset),
        _ if byte >= 0xa0 => Some(char::from(byte)),
        _ => WPC1252.chars().nth(offset),
    };
    found.unwrap_or('\u{a0}')
}

fn national(character: char, set: u8) -> char {
    let table = match set {
        2 => GERMANY,
        3 => UNITED_KINGDOM,
        _ => return character,
    };
    REPLACED
        .chars()
        .zip(table.chars())
        .find(|(ascii, _)| *ascii == character)
        .map_or(character, |(_, national)| national)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_print_what_the_pages_say() {
        for (byte, page, set, expected) in [
            (0xd5, 19, 0, '€'),
            (0xd5, 0, 0, '╒'),
            (0x80, 16, 0, '€'),
            (0xe9, 16, 0, 'é'),
            (0x9f, 16, 0, 'Ÿ'),
            (0xfe, 19, 0, '■'),
            (0xff, 0, 0, '\u{a0}'),
            (b'#', 19, 0, '#'),
            (b'#', 19, 3, '£'),
            (b'[', 19, 2, 'Ä'),
        ] {
            assert_eq!(
                character(byte, page, set),
                expected,
                "{byte:02x} in {page}, {set}"
            );
        }
    }
}
