//! DICOM files of any size, made by hand.

/// What a DICOM file is named by, and how large it is.
pub(crate) struct Image<'a> {
    pub(crate) study: u32,
    pub(crate) series: u32,
    pub(crate) number: u32,
    pub(crate) patient: &'a str,
    pub(crate) born: &'a str,
    pub(crate) accession: &'a str,
    pub(crate) pixels: usize,
}

impl Image<'_> {
    /// The file: explicit VR, little endian.
    pub(crate) fn file(&self) -> Vec<u8> {
        let Self { study, series: number_of_series, number, patient, born, accession, pixels } = self;
        let uid = |text: &str| text.bytes().chain((!text.len().is_multiple_of(2)).then_some(0)).collect::<Vec<_>>();
        let text = |text: &str| text.bytes().chain((!text.len().is_multiple_of(2)).then_some(b' ')).collect::<Vec<_>>();
        let study = format!("2.25.77.{study}");
        let series = format!("{study}.{number_of_series}");
        let instance = format!("{series}.{number}");
        let drawn = noise(&instance, *pixels);
        [
            vec![0; 128],
            b"DICM".to_vec(),
            element(0x0002, 0x0010, b"UI", &uid("1.2.840.10008.1.2.1")),
            element(0x0008, 0x0016, b"UI", &uid("1.2.840.10008.5.1.4.1.1.4")),
            element(0x0008, 0x0018, b"UI", &uid(&instance)),
            element(0x0008, 0x0050, b"SH", &text(accession)),
            element(0x0008, 0x0060, b"CS", b"MR"),
            element(0x0008, 0x103e, b"LO", &text(&format!("Series {number_of_series}"))),
            element(0x0010, 0x0020, b"LO", &text(patient)),
            element(0x0010, 0x0030, b"DA", &text(born)),
            element(0x0020, 0x000d, b"UI", &uid(&study)),
            element(0x0020, 0x000e, b"UI", &uid(&series)),
            element(0x0020, 0x0011, b"IS", &text(&number_of_series.to_string())),
            element(0x7fe0, 0x0010, b"OW", &drawn),
        ]
        .concat()
    }
}

/// Pixels that no other instance has, and no two alike.
fn noise(of: &str, len: usize) -> Vec<u8> {
    // Knuth's multiplier (The Art of Computer Programming, 3.3.4).
    let step = |state: u64| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let mut state = of.bytes().fold(1, |state, byte| step(state ^ u64::from(byte)));
    let mut noise = Vec::with_capacity(len + 8);
    while noise.len() < len {
        state = step(state);
        noise.extend_from_slice(&state.to_be_bytes()[..4]);
    }
    noise.truncate(len);
    noise
}

fn element(group: u16, number: u16, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let len = u32::try_from(value.len()).unwrap();
    let len = if vr == b"OW" { [&[0, 0], &len.to_le_bytes()[..]].concat() } else { len.to_le_bytes()[..2].to_vec() };
    [&group.to_le_bytes(), &number.to_le_bytes(), &vr[..], &len, value].concat()
}
