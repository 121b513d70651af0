//! The words of a clinical document (HL7 CDA, release 2): titles and narrative, which is what a person is meant to read
//! (§4.3.5).
//!
//! No XML library stands behind it. Nothing but text between tags is taken, entities that the document makes up are
//! left as they stand, and nothing is ever fetched or expanded; so that no document can take more memory than it is
//! long.

use clavicle_dicom::text::Charset;

use crate::text::printable;

/// Its words, whether these are all, and what is in it besides.
pub(crate) fn words(bytes: &[u8]) -> (String, bool, Vec<String>) {
    let xml = decoded(bytes);
    let mut reader = Reader::default();
    let mut rest = xml.as_str();
    while let Some(at) = rest.find('<') {
        reader.text(&unescaped(&rest[..at]));
        rest = &rest[at..];
        let begins = |what: &str| rest.starts_with(what);
        let (end, is_tag) = if begins("<!--") {
            (behind(rest, "-->"), false)
        } else if begins("<![CDATA[") {
            let end = behind(rest, "]]>");
            reader.text(rest[9..end].strip_suffix("]]>").unwrap_or_default());
            (end, false)
        } else if begins("<?") {
            (behind(rest, "?>"), false)
        } else if begins("<!") {
            (behind_declaration(rest), false)
        } else {
            (behind_tag(rest), true)
        };
        if is_tag {
            reader.tag(rest[1..end].trim_end_matches('>'));
        }
        rest = &rest[end..];
    }
    let (text, is_whole) = printable(reader.words.trim());
    (text, is_whole, reader.besides)
}

/// What is read, and where.
#[derive(Default)]
struct Reader {
    words: String,
    /// How many elements with words are open.
    narratives: u32,
    /// How many elements are open within one that holds something else than words.
    hidden: u32,
    besides: Vec<String>,
}

impl Reader {
    fn text(&mut self, text: &str) {
        if self.narratives == 0 || self.hidden > 0 {
            return;
        }
        for char in text.chars() {
            let is_space = char.is_whitespace();
            if !is_space {
                self.words.push(char);
            } else if !self.words.is_empty() && !self.words.ends_with([' ', '\n']) {
                self.words.push(' ');
            }
        }
    }

    /// What stands between `<` and `>`.
    fn tag(&mut self, tag: &str) {
        let is_end = tag.starts_with('/');
        let is_empty = tag.ends_with('/');
        let name = tag.trim_matches('/').split(|one: char| one.is_whitespace()).next().unwrap_or_default();
        let name = name.rsplit(':').next().unwrap_or_default();
        if self.hidden > 0 {
            match (is_end, is_empty) {
                (true, _) => self.hidden -= 1,
                (false, true) => {}
                (false, false) => self.hidden += 1,
            }
            if self.hidden == 0 {
                self.narratives = self.narratives.saturating_sub(1);
            }
            return;
        }
        match name {
            "text" | "title" => {
                self.line();
                if is_end {
                    self.narratives = self.narratives.saturating_sub(1);
                } else if !is_empty {
                    self.narratives += 1;
                    if tag.contains("representation=\"B64\"") || tag.contains("representation='B64'") {
                        self.hidden = 1;
                        self.besides.push("a document of another kind".to_owned());
                    }
                }
            }
            "br" | "caption" | "item" | "list" | "paragraph" | "table" | "tr" => self.line(),
            "td" | "th" if is_end => self.text(" "),
            "renderMultiMedia" if self.narratives > 0 && self.besides.len() < 16 => {
                self.besides.push("a picture".to_owned())
            }
            _ => {}
        }
    }

    fn line(&mut self) {
        self.words.truncate(self.words.trim_end_matches(' ').len());
        if self.narratives > 0 && !self.words.is_empty() && !self.words.ends_with('\n') {
            self.words.push('\n');
        }
    }
}

/// In the character set that the first line names, or UTF-8.
fn decoded(bytes: &[u8]) -> String {
    let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    let prolog = begin.split("?>").next().filter(|prolog| prolog.contains("<?xml")).unwrap_or_default();
    let named = prolog.split_once("encoding=").and_then(|(_, rest)| rest.get(1..)?.split(['"', '\'']).next());
    let charset = named.unwrap_or("ISO_IR 192");
    Charset::of(Some(charset.as_bytes())).decode_marked(bytes, false).trim_start_matches('\u{feff}').to_owned()
}

/// Where it goes on behind `end`: at the end of all, if that does not come.
fn behind(text: &str, end: &str) -> usize {
    text.find(end).map_or(text.len(), |at| at + end.len())
}

/// Behind a tag; what stands in quotes does not end it.
fn behind_tag(text: &str) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if byte == open => quote = None,
            (None, b'>') => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Behind a declaration, with all that it declares.
fn behind_declaration(text: &str) -> usize {
    let mut open = 0_u32;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => open += 1,
            b']' => open = open.saturating_sub(1),
            b'>' if open == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// With the five entities of XML, and those that are numbers.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        // No name of ours is longer.
        let end = after.bytes().take(10).position(|byte| byte == b';');
        let char = end.and_then(|end| match &after[..end] {
            "amp" => Some('&'),
            "apos" => Some('\''),
            "gt" => Some('>'),
            "lt" => Some('<'),
            "quot" => Some('"'),
            other => {
                let number = other.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)
            }
        });
        match (char, end) {
            (Some(char), Some(end)) => {
                out.push(char);
                rest = &after[end + 1..];
            }
            _ => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CDA: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE x [<!ENTITY lol "lollol"><!ENTITY big "&lol;&lol;">]>
<ClinicalDocument xmlns="urn:hl7-org:v3"><!-- <text>nothing</text> -->
  <title>Chest &amp; abdomen</title>
  <recordTarget><patientRole><patient><name>Rossi</name></patient></patientRole></recordTarget>
  <component><structuredBody><component><section>
    <title>Findings</title>
    <text><paragraph>No <content ID="a>b">acute</content>
      finding.</paragraph><list><item>one</item><item>two &#x3c; 3 &big;</item></list>
      <table><tbody><tr><td>mass</td><td>12 mm</td></tr></tbody></table><renderMultiMedia referencedObject="p"/></text>
    <entry><observation><text><reference value="#a"/></text></observation></entry>
  </section></component></structuredBody></component>
  <component><nonXMLBody><text mediaType="application/pdf" representation="B64">QUJD</text></nonXMLBody></component>
</ClinicalDocument>"##;

    #[test]
    fn the_words_are_read_and_nothing_is_expanded() {
        let (text, is_whole, besides) = words(CDA.as_bytes());
        let expected = "Chest & abdomen\nFindings\nNo acute finding.\none\ntwo < 3 &big;\nmass 12 mm";
        assert_eq!((text.as_str(), is_whole), (expected, true));
        assert_eq!(besides, ["a picture", "a document of another kind"]);
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><d><title>M\xfcller</title></d>";
        assert_eq!(words(latin).0, "Müller");
    }

    #[test]
    fn what_is_cut_off_or_changed_is_answered() {
        for end in 0..CDA.len() {
            drop(words(&CDA.as_bytes()[..end]));
            let mut other = CDA.as_bytes().to_vec();
            for with in *b"<>&\"\xff" {
                other[end] = with;
                drop(words(&other));
            }
        }
    }
}
