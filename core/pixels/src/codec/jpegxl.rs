//! JPEG XL (ISO/IEC 18181) by `jxl-oxide`, which counts what it sets aside and stops at a limit.

use jxl_oxide::{AllocTracker, InitializeResult, JxlImage, JxlThreadPool};

use super::{Codec, CodecError, Decoded, Layout, PhotometricInterpretation, check_dimensions, widen};

/// Bytes that decoding may set aside for a sample: several planes of numbers with a fraction, in full and in parts.
const PER_SAMPLE: usize = 64;
/// Bytes that it may set aside for an image of any size.
const AT_LEAST: usize = 8 << 20;

/// Whether a codestream ends before it should. It says how long each of its parts is, so that nothing has to be decoded
/// for it.
pub(super) fn is_cut_off(frame: &[u8], layout: &Layout) -> Result<bool, CodecError> {
    let damaged = |_| CodecError::Damaged { codec: Codec::JpegXl, what: "it breaks the standard" };
    let mut begun = JxlImage::builder()
        .pool(JxlThreadPool::none())
        .alloc_tracker(AllocTracker::with_limit(AT_LEAST + PER_SAMPLE * layout.count()))
        .build_uninit();
    begun.feed_bytes(frame).map_err(damaged)?;
    Ok(match begun.try_init().map_err(damaged)? {
        InitializeResult::NeedMoreData(_) => true,
        InitializeResult::Initialized(image) => !image.is_loading_done(),
    })
}

pub(super) fn decode(frame: &[u8], layout: &Layout) -> Result<Decoded, CodecError> {
    let codec = Codec::JpegXl;
    let damaged = |_| CodecError::Damaged { codec, what: "it breaks the standard" };
    let limit = AT_LEAST + PER_SAMPLE * layout.count();
    // PS3.5 §8.2.17 has one image a frame; without a pool of its own, decoding stays in this thread.
    let image = JxlImage::builder()
        .pool(JxlThreadPool::none())
        .alloc_tracker(AllocTracker::with_limit(limit))
        .read(frame)
        .map_err(damaged)?;
    let channels = image.pixel_format().channels();
    let number = u32::try_from(channels).unwrap_or(u32::MAX);
    check_dimensions(codec, layout, image.width(), image.height(), number)?;
    let precision = image.image_header().metadata.bit_depth.bits_per_sample();
    if !(1..=16).contains(&precision) || precision > u32::from(layout.bits_allocated) {
        return Err(CodecError::Precision { codec, precision, allocated: layout.bits_allocated });
    }
    let rendered = image.render_frame(0).map_err(damaged)?.image_all_channels();
    if (rendered.width(), rendered.height(), rendered.channels())
        != (usize::from(layout.columns), usize::from(layout.rows), channels)
    {
        return Err(CodecError::Damaged { codec, what: "it renders in another size than it says" });
    }
    let most = (1_i32 << precision) - 1;
    let scale = f64::from(most);
    let values = rendered.buf().iter().map(|value| {
        // What is no number becomes 0: the cast says so, and cuts off at both ends.
        ((f64::from(*value) * scale).round() as i32).clamp(0, most)
    });
    let photometric =
        if layout.photometric.is_of_one_sample() { layout.photometric } else { PhotometricInterpretation::Rgb };
    widen(codec, values, precision, layout, photometric)
}
