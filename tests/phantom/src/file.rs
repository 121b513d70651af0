//! A file on its way out.

use std::io::{self, Write};

use dicom_core::VR;

use super::PhantomError;
use super::elements::Elements;

/// A file of a phantom, not written yet.
pub struct File<'a> {
    name: String,
    /// All that comes before the values of the pixels.
    head: Vec<u8>,
    pixels: Option<Pixels<'a>>,
}

/// Pixel Data (7FE0,0010), frame by frame.
pub(super) struct Pixels<'a> {
    /// OW where a sample has two bytes, OB where it has one (PS3.5 §8.2).
    pub vr: VR,
    pub frames: u32,
    pub bytes_per_frame: u32,
    /// Makes the frame of this number, from 0 on.
    pub make: &'a mut dyn FnMut(u32) -> Vec<u8>,
}

impl Pixels<'_> {
    /// Of all frames, without the padding.
    fn bytes(&self) -> u64 {
        u64::from(self.frames) * u64::from(self.bytes_per_frame)
    }
}

impl<'a> File<'a> {
    /// A file of elements, the pixels last, as they are in every data set.
    pub(super) fn new(name: String, elements: Elements, pixels: Option<Pixels<'a>>) -> Result<Self, PhantomError> {
        let mut head = elements.encode()?;
        if let Some(pixels) = &pixels {
            let even = pixels.bytes().next_multiple_of(2);
            let length = u32::try_from(even).ok().filter(|length| *length != u32::MAX);
            let length = length.ok_or(PhantomError::TooLong(pixels.bytes()))?;
            // PS3.5 §7.1.2, of an explicit VR with a length of 32 bits.
            head.extend([0xe0, 0x7f, 0x10, 0x00]);
            head.extend(pixels.vr.to_bytes());
            head.extend([0, 0]);
            head.extend(length.to_le_bytes());
        }
        Ok(Self { name, head, pixels })
    }

    /// Where it belongs in a folder, such as `2-axial/0001.dcm`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it has.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no file is empty")]
    pub fn len(&self) -> u64 {
        self.head.len() as u64 + self.pixels.as_ref().map_or(0, |pixels| pixels.bytes().next_multiple_of(2))
    }

    /// Writes it, making one frame after the other.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_to(self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.head)?;
        if let Some(pixels) = self.pixels {
            for frame in 0..pixels.frames {
                let bytes = (pixels.make)(frame);
                debug_assert_eq!(Ok(pixels.bytes_per_frame), u32::try_from(bytes.len()));
                out.write_all(&bytes)?;
            }
            if !pixels.bytes().is_multiple_of(2) {
                out.write_all(&[0])?;
            }
        }
        out.flush()
    }

    /// All of it, in memory.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.len()).unwrap_or(0));
        self.write_to(&mut bytes).expect("memory takes what is written");
        bytes
    }
}
