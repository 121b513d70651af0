//! PNG, for whatever shows pictures.

use super::{Picture, PictureError, Pixels};

impl Picture {
    /// The picture as PNG.
    ///
    /// # Errors
    /// [`PictureError::Png`] when it has no pixels, or not as many as it says.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        let pixels = match &self.pixels {
            Pixels::Grey(pixels) => {
                encoder.set_color(png::ColorType::Grayscale);
                pixels
            }
            Pixels::Rgb(pixels) => {
                encoder.set_color(png::ColorType::Rgb);
                pixels
            }
        };
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let mut writer = encoder.write_header().map_err(|_| PictureError::Png)?;
        writer.write_image_data(pixels).map_err(|_| PictureError::Png)?;
        writer.finish().map_err(|_| PictureError::Png)?;
        Ok(bytes)
    }
}
