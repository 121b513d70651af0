//! Text: the one place where the bytes of a value become characters (PS3.3 C.12.1.1.2, PS3.5 §6.1).
//!
//! A value is decoded whole and split into values after that: in some character sets the second byte of a letter is a backslash.
//! What the named character set does not have is not guessed: there is no text then, or one in which each such place is marked.

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6,
    ISO_8859_7, ISO_8859_8, ISO_8859_15, SHIFT_JIS, WINDOWS_874, WINDOWS_1251, WINDOWS_1252, WINDOWS_1254,
};

const ESCAPE: u8 = 0x1b;
/// How many sets an instance may switch between; those that are named after them cannot be switched to.
const MAX_LISTED: usize = 16;

/// A set of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// ISO 646, and nothing else.
    Ascii,
    /// ISO 8859-1.
    Latin1,
    /// One byte a character; those from 80 to 9F are none.
    Single(&'static Encoding),
    /// JIS X 0201.
    Kana,
    /// JIS X 0208, two bytes, without their highest bits (ISO 2022 IR 87).
    Kanji,
    /// JIS X 0212 (ISO 2022 IR 159).
    SupplementaryKanji,
    /// KS X 1001 (ISO 2022 IR 149).
    Korean,
    /// GB 2312 (ISO 2022 IR 58).
    Chinese,
    Utf8,
    /// One of those that mix bytes and pairs of them in their own way.
    Whole(&'static Encoding),
    /// Nobody here knows it.
    Unknown,
}

/// Specific Character Set (0008,0005).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset {
    first: Set,
    /// Whether it is one set alone, so that text can be written in it.
    is_alone: bool,
    /// The sets that escapes may switch to: those that are named, by their numbers in the register of ISO.
    listed: [Option<u16>; MAX_LISTED],
}

impl Default for Charset {
    fn default() -> Self {
        Self { first: Set::Ascii, is_alone: true, listed: [None; MAX_LISTED] }
    }
}

impl Charset {
    /// Of the attribute's value. The many ways in which people write the defined terms are known.
    #[must_use]
    pub fn of(value: Option<&[u8]>) -> Self {
        let value = value.map(String::from_utf8_lossy).unwrap_or_default();
        let terms: Vec<Set> = value.split('\\').map(Set::of_term).collect();
        // Those that need no other may stand alone only, and count wherever they stand.
        let whole = terms.iter().find(|set| matches!(set, Set::Utf8 | Set::Whole(_)));
        let first = whole.or(terms.first()).copied().unwrap_or(Set::Ascii);
        let mut listed = [None; MAX_LISTED];
        for (place, number) in listed.iter_mut().zip(value.split('\\').filter_map(number_of)) {
            *place = Some(number);
        }
        Self { first, is_alone: terms.len() == 1, listed }
    }

    /// The text, if all of it is in the character set. In a name, components and groups begin in the first set again.
    #[must_use]
    pub fn decode(self, bytes: &[u8], is_name: bool) -> Option<String> {
        let mut decoded = String::new();
        self.read(bytes, is_name, |text| {
            decoded.push_str(text?);
            Some(())
        })?;
        Some(decoded)
    }

    /// The text with a mark, �, for each byte that is none.
    #[must_use]
    pub fn decode_marked(self, bytes: &[u8], is_name: bool) -> String {
        let mut decoded = String::new();
        self.read(bytes, is_name, |text| {
            decoded.push_str(text.unwrap_or("\u{fffd}"));
            Some(())
        });
        decoded
    }

    /// The text in this character set, if it has all of it.
    #[must_use]
    pub fn encode(self, text: &str) -> Option<Vec<u8>> {
        if text.is_ascii() {
            return Some(text.as_bytes().to_vec());
        }
        if !self.is_alone {
            // Several are switched between by escapes, which are not written here.
            return None;
        }
        let bytes = match self.first {
            Set::Utf8 => text.as_bytes().to_vec(),
            Set::Latin1 => text.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect::<Option<_>>()?,
            Set::Single(encoding) | Set::Whole(encoding) => encoding.encode(text).0.into_owned(),
            _ => return None,
        };
        // What comes back the same was written whole.
        (self.decode(&bytes, true).as_deref() == Some(text)).then_some(bytes)
    }

    /// Gives away the text piece by piece; nothing for a byte that means nothing. Ends early when `each` does.
    fn read(self, bytes: &[u8], is_name: bool, mut each: impl FnMut(Option<&str>) -> Option<()>) -> Option<()> {
        match self.first {
            Set::Utf8 => {
                for chunk in bytes.utf8_chunks() {
                    each(Some(chunk.valid()))?;
                    if !chunk.invalid().is_empty() {
                        each(None)?;
                    }
                }
                Some(())
            }
            Set::Whole(encoding) => match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
                Some(text) => each(Some(&text)),
                None => {
                    let (text, _) = encoding.decode_without_bom_handling(bytes);
                    text.split_inclusive('\u{fffd}').try_for_each(|piece| match piece.strip_suffix('\u{fffd}') {
                        Some(before) => each(Some(before)).and_then(|()| each(None)),
                        None => each(Some(piece)),
                    })
                }
            },
            _ => read_2022(self, bytes, is_name, each),
        }
    }

    /// ASCII, and the half of JIS X 0201 that is all but the same, may always be returned to.
    fn may_switch_to(self, number: u16) -> bool {
        matches!(number, 6 | 14) || self.listed.contains(&Some(number))
    }
}

/// ISO 2022, as far as PS3.5 §6.1.2.5 has it: bytes below 80 are of one set, those above of another, and escapes name both. An escape to a set that
/// the instance does not name means nothing: else an attribute that is ASCII by definition could hold anything.
fn read_2022(
    charset: Charset,
    bytes: &[u8],
    is_name: bool,
    mut each: impl FnMut(Option<&str>) -> Option<()>,
) -> Option<()> {
    let first = charset.first;
    let (mut low, mut high) = (Set::Ascii, first);
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        if *byte == ESCAPE {
            match escaped(after).filter(|(number, ..)| charset.may_switch_to(*number)) {
                Some((_, set, is_high, len)) => {
                    *(if is_high { &mut high } else { &mut low }) = set;
                    rest = &after[len..];
                }
                None => {
                    // Whatever follows is in a set that nobody knows.
                    (low, high) = (Set::Unknown, Set::Unknown);
                    each(None)?;
                    rest = after;
                }
            }
            continue;
        }
        let is_control = *byte < 0x20;
        let ends_value = *byte == b'\\' || is_name && matches!(byte, b'^' | b'=');
        if is_control || ends_value && matches!(low, Set::Ascii | Set::Kana | Set::Unknown) {
            (low, high) = (Set::Ascii, first);
        }
        let set = if *byte < 0x80 { low } else { high };
        let (decoded, len) = match set {
            _ if is_control || *byte == b' ' || *byte == 0x7f => (Some(char::from(*byte).to_string()), 1),
            Set::Ascii => (byte.is_ascii().then(|| char::from(*byte).to_string()), 1),
            Set::Latin1 => ((*byte >= 0xa0).then(|| char::from(*byte).to_string()), 1),
            Set::Single(encoding) => ((*byte >= 0xa0).then(|| of(encoding, &[*byte])).flatten(), 1),
            // What is a yen in it is the backslash between values all the same.
            Set::Kana if *byte < 0x80 => (Some(char::from(*byte).to_string()), 1),
            Set::Kana => (of(SHIFT_JIS, &[*byte]).filter(|_| (0xa1..=0xdf).contains(byte)), 1),
            Set::Kanji | Set::SupplementaryKanji | Set::Korean | Set::Chinese => match after {
                [second, ..] if (*second < 0x80) == (*byte < 0x80) => (set.pair(*byte, *second), 2),
                _ => (None, 1),
            },
            Set::Utf8 | Set::Whole(_) | Set::Unknown => {
                ((*byte < 0x80 && first == Set::Unknown && low == Set::Ascii).then(|| char::from(*byte).to_string()), 1)
            }
        };
        each(decoded.as_deref())?;
        rest = &rest[len..];
    }
    Some(())
}

/// What comes behind an escape: which set, by its number and as it is, whether it is that of bytes from 80 on, and how many bytes say so (PS3.3 tables
/// C.12-3 and C.12-4).
fn escaped(after: &[u8]) -> Option<(u16, Set, bool, usize)> {
    Some(match after {
        [b'(', b'B', ..] => (6, Set::Ascii, false, 2),
        [b'(', b'J', ..] => (14, Set::Kana, false, 2),
        [b')', b'I', ..] => (13, Set::Kana, true, 2),
        [b'$', b'B' | b'@', ..] => (87, Set::Kanji, false, 2),
        [b'$', b'(', b'D', ..] => (159, Set::SupplementaryKanji, false, 3),
        [b'$', b')', b'C', ..] => (149, Set::Korean, true, 3),
        [b'$', b')', b'A', ..] => (58, Set::Chinese, true, 3),
        [b'-', part, ..] => {
            let number = match part {
                b'A' => 100,
                b'B' => 101,
                b'C' => 109,
                b'D' => 110,
                b'F' => 126,
                b'G' => 127,
                b'H' => 138,
                b'L' => 144,
                b'M' => 148,
                b'T' => 166,
                b'b' => 203,
                _ => return None,
            };
            (number, Set::of_number(number)?, true, 2)
        }
        _ => return None,
    })
}

fn of(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    encoding.decode_without_bom_handling_and_without_replacement(bytes).map(std::borrow::Cow::into_owned)
}

/// A defined term without what people write differently.
fn plain(term: &str) -> String {
    term.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_uppercase()).collect()
}

/// The number in a defined term.
fn number_of(term: &str) -> Option<u16> {
    let plain = plain(term);
    let number = ["ISO2022IR", "ISO2022", "ISOIR", "IR"].iter().find_map(|prefix| plain.strip_prefix(prefix));
    number?.parse().ok()
}

impl Set {
    fn of_term(term: &str) -> Self {
        if let Some(known) = number_of(term).and_then(Self::of_number) {
            return known;
        }
        let plain = plain(term);
        match plain.strip_prefix("ISO2022").unwrap_or(&plain) {
            "" | "DEFAULT" | "ASCII" | "USASCII" | "ISO646" => Self::Ascii,
            "UTF8" | "ISO10646UTF8" | "UNICODEUTF8" => Self::Utf8,
            "GB18030" => Self::Whole(GB18030),
            "GBK" | "GB2312" | "EUCCN" | "CP936" => Self::Whole(GBK),
            "SHIFTJIS" | "SJIS" | "WINDOWS31J" | "CP932" => Self::Whole(SHIFT_JIS),
            "EUCJP" => Self::Whole(EUC_JP),
            "EUCKR" | "KSC5601" | "KSX1001" | "CP949" => Self::Whole(EUC_KR),
            "BIG5" | "CP950" => Self::Whole(BIG5),
            "LATIN1" | "ISO88591" => Self::Latin1,
            "ISO88592" => Self::Single(ISO_8859_2),
            "ISO88593" => Self::Single(ISO_8859_3),
            "ISO88594" => Self::Single(ISO_8859_4),
            "ISO88595" => Self::Single(ISO_8859_5),
            "ISO88596" => Self::Single(ISO_8859_6),
            "ISO88597" => Self::Single(ISO_8859_7),
            "ISO88598" => Self::Single(ISO_8859_8),
            "ISO88599" => Self::Single(WINDOWS_1254),
            "ISO885911" | "TIS620" => Self::Single(WINDOWS_874),
            "ISO885915" => Self::Single(ISO_8859_15),
            "WINDOWS1251" | "CP1251" => Self::Whole(WINDOWS_1251),
            "WINDOWS1252" | "CP1252" => Self::Whole(WINDOWS_1252),
            _ => Self::Unknown,
        }
    }

    /// By its number in the register of ISO, which the defined terms are made with.
    const fn of_number(number: u16) -> Option<Self> {
        Some(match number {
            6 => Self::Ascii,
            13 => Self::Kana,
            14 => Self::Ascii,
            58 => Self::Chinese,
            87 => Self::Ascii,
            100 => Self::Latin1,
            101 => Self::Single(ISO_8859_2),
            109 => Self::Single(ISO_8859_3),
            110 => Self::Single(ISO_8859_4),
            126 => Self::Single(ISO_8859_7),
            127 => Self::Single(ISO_8859_6),
            138 => Self::Single(ISO_8859_8),
            144 => Self::Single(ISO_8859_5),
            148 => Self::Single(WINDOWS_1254),
            149 => Self::Korean,
            159 => Self::Ascii,
            166 => Self::Single(WINDOWS_874),
            192 => Self::Utf8,
            203 => Self::Single(ISO_8859_15),
            _ => return None,
        })
    }

    /// The character of two bytes.
    fn pair(self, first: u8, second: u8) -> Option<String> {
        let (first, second) = (first | 0x80, second | 0x80);
        if first < 0xa1 || second < 0xa1 {
            return None;
        }
        match self {
            Self::Kanji => of(EUC_JP, &[first, second]),
            Self::SupplementaryKanji => of(EUC_JP, &[0x8f, first, second]),
            Self::Korean => of(EUC_KR, &[first, second]),
            Self::Chinese => of(GBK, &[first, second]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(charset: &str, bytes: &[u8]) -> Option<String> {
        Charset::of(Some(charset.as_bytes())).decode(bytes, true)
    }

    #[test]
    fn a_letter_whose_second_byte_is_a_backslash_is_one_letter() {
        for (charset, bytes, text) in [
            ("GB18030", &b"\x81\x5c\\x"[..], "乗\\x"),
            ("GBK", b"\x81\x5c", "乗"),
            ("SHIFT_JIS", b"\x95\x5c", "表"),
            ("Big5", b"\xa5\x5c", "功"),
            ("\\ISO 2022 IR 87", b"\x1b$B\x29\x5c\x1b(B", "\u{fffd}"),
            ("\\ISO 2022 IR 87", b"\x1b$B\x46\x5c\x1b(B", "頓"),
        ] {
            match text {
                "\u{fffd}" => assert_eq!(read(charset, bytes), None, "{charset}"),
                _ => assert_eq!(read(charset, bytes).as_deref(), Some(text), "{charset}"),
            }
        }
    }

    #[test]
    fn the_terms_are_known_however_they_are_written() {
        for term in ["ISO_IR 192", "ISO IR 192", "ISO_IR_192", "iso-ir 192 ", "UTF-8", "utf8"] {
            assert_eq!(read(term, "Müller".as_bytes()).as_deref(), Some("Müller"), "{term}");
        }
        for term in ["ISO_IR 100", "ISO 2022 IR 100", "ISO IR 100", "ISO8859-1", "latin1"] {
            assert_eq!(read(term, b"M\xfcller").as_deref(), Some("Müller"), "{term}");
        }
        for term in ["GBK", "GB2312", "ISO 2022 GBK", "gb18030", "\\GB18030"] {
            assert_eq!(read(term, b"\xcd\xf5").as_deref(), Some("王"), "{term}");
        }
    }

    #[test]
    fn sets_are_switched_between() {
        let text = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
        assert_eq!(read("\\ISO 2022 IR 87", text).as_deref(), Some("Yamada^Tarou=山田^太郎=やまだ^たろう"));
        let text = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J";
        assert_eq!(read("ISO 2022 IR 13\\ISO 2022 IR 87", text).as_deref(), Some("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"));
        let text = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7";
        assert_eq!(read("\\ISO 2022 IR 149", text).as_deref(), Some("Hong^Gildong=洪^吉洞"));
        assert_eq!(read("\\ISO 2022 IR 58", b"\x1b$)A\xcd\xf5").as_deref(), Some("王"));
        assert_eq!(read("ISO 2022 IR 6\\ISO 2022 IR 100", b"\x1b-AB\xfcc^J").as_deref(), Some("Büc^J"));
    }

    #[test]
    fn a_set_that_is_not_named_is_not_switched_to() {
        let kanji = &b"\x1b$B;3"[..];
        assert_eq!(Charset::default().decode(kanji, false), None);
        assert_eq!(Charset::default().decode(b"\x1b-AM\xfcller", false), None);
        for charset in ["", "ISO_IR 100", "\\ISO 2022 IR 149"] {
            assert_eq!(read(charset, kanji), None, "{charset}");
        }
        assert_eq!(read("ISO 2022 IR 87", kanji).as_deref(), Some("山"));
        assert_eq!(Charset::default().decode(b"\x1b(BCT\x1b(J", false).as_deref(), Some("CT"));
        assert_eq!(Charset::default().decode_marked(kanji, false), "\u{fffd}".repeat(5));
    }

    #[test]
    fn what_a_set_does_not_have_is_marked_and_never_guessed() {
        assert_eq!(read("", b"M\xfcller"), None);
        assert_eq!(read("ISO_IR 9999", b"M\xfcller"), None);
        assert_eq!(read("ISO_IR 9999", b"Miller").as_deref(), Some("Miller"));
        assert_eq!(read("ISO_IR 100", b"a\x80b"), None);
        assert_eq!(read("ISO_IR 192", b"M\xfcller"), None);
        assert_eq!(read("\\ISO 2022 IR 87", b"\x1b%Gab"), None);
        assert_eq!(Charset::default().decode_marked(b"M\xfcller", false), "M\u{fffd}ller");
        assert_eq!(Charset::of(Some(b"ISO_IR 192")).decode_marked(b"M\xfcller", false), "M\u{fffd}ller");
    }

    #[test]
    fn texts_are_written_in_a_character_set_or_not_at_all() {
        let written = |charset: &[u8], text: &str| Charset::of(Some(charset)).encode(text);
        assert_eq!(written(b"ISO_IR 100", "Müller").as_deref(), Some(&b"M\xfcller"[..]));
        assert_eq!(written(b"ISO_IR 100", "山田"), None);
        assert_eq!(written(b"ISO_IR 101", "山田"), None);
        assert_eq!(written(b"ISO_IR 192", "山田").as_deref(), Some("山田".as_bytes()));
        assert_eq!(Charset::of(None).encode("Müller"), None);
        assert_eq!(written(b"\\ISO 2022 IR 87", "Mueller").as_deref(), Some(&b"Mueller"[..]));
    }
}
