//! WebP as libwebp decodes it, lossy and lossless; of an animation the first frame, as Pillow shows it.

use std::borrow::Cow;
use std::ffi::c_int;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use libwebp_sys as ffi;

use super::{damaged, Format, Limit, Raw};
use crate::orientation::orientation;
use crate::{Header, ImageError, Mode, Pixels};

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let data = whole(data)?;
    let file = File::new(&data)?;
    let (width, height) = file.size();
    Ok(Header {
        format: Format::WebP,
        width,
        height,
        mode: Mode::Rgb,
        bits: 8,
        alpha: file.alpha,
        orientation: orientation(file.exif(), file.chunk(b"XMP ")),
    })
}

pub(super) fn decode(data: &[u8], limit: Limit) -> Result<Raw, ImageError> {
    let data = whole(data)?;
    let file = File::new(&data)?;
    let (width, height) = file.size();
    let (width, height) = limit.check(width, height)?;
    let channels = if file.alpha { 4 } else { 3 };
    let mut samples = vec![0; width * height * channels];
    file.frame(width, channels, &mut samples)?;
    Ok(Raw {
        pixels: Pixels::new(width, height, channels, samples)?,
        orientation: orientation(file.exif(), file.chunk(b"XMP ")),
    })
}

/// The file, as long as it says.
fn whole(data: &[u8]) -> Result<Cow<'_, [u8]>, ImageError> {
    let declared = u32::from_le_bytes([data[4], data[5], data[6], data[7]]) as usize;
    match declared.saturating_add(8).saturating_sub(data.len()) {
        0 => Ok(data.into()),
        // Some writers leave out the byte that pads the last chunk to an even length.
        1 => Ok([data, &[0]].concat().into()),
        _ => Err(damaged("WebP", "the file is cut off")),
    }
}

/// A file whose chunks have been read.
struct File<'a> {
    demuxer: NonNull<ffi::WebPDemuxer>,
    /// Whether pixels can be transparent.
    alpha: bool,
    /// The demuxer points into the data.
    data: PhantomData<&'a [u8]>,
}

impl<'a> File<'a> {
    fn new(data: &'a [u8]) -> Result<Self, ImageError> {
        let mut features = MaybeUninit::uninit();
        // SAFETY: the data are readable; where the status is OK, the features have been written.
        let features = unsafe {
            let status = ffi::WebPGetFeatures(data.as_ptr(), data.len(), features.as_mut_ptr());
            check(status)?;
            features.assume_init()
        };
        let file = ffi::WebPData {
            bytes: data.as_ptr(),
            size: data.len(),
        };
        let mut state = ffi::WebPDemuxState::WEBP_DEMUX_PARSE_ERROR;
        let version = ffi::WebPGetDemuxABIVersion();
        // SAFETY: the data are readable and, by the lifetime, stay where they are as long as the demuxer is used; nothing
        // but it points to `file` and `state`, and only during the call.
        let demuxer = unsafe { ffi::WebPDemuxInternal(&file, 0, &mut state, version) };
        let Some(demuxer) = NonNull::new(demuxer) else {
            return Err(match state {
                ffi::WebPDemuxState::WEBP_DEMUX_PARSE_ERROR => {
                    damaged("WebP", "its chunks do not fit together")
                }
                _ => damaged("WebP", "the file is cut off"),
            });
        };
        Ok(Self {
            demuxer,
            alpha: features.has_alpha != 0,
            data: PhantomData,
        })
    }

    /// Width and height of the image.
    fn size(&self) -> (u64, u64) {
        let number = |feature| {
            // SAFETY: the demuxer has not been deleted.
            u64::from(unsafe { ffi::WebPDemuxGetI(self.demuxer.as_ptr(), feature) })
        };
        (
            number(ffi::WebPFormatFeature::WEBP_FF_CANVAS_WIDTH),
            number(ffi::WebPFormatFeature::WEBP_FF_CANVAS_HEIGHT),
        )
    }

    /// The first chunk of a name.
    fn chunk(&self, name: &[u8; 4]) -> Option<&'a [u8]> {
        let mut chunk = MaybeUninit::uninit();
        // SAFETY: the demuxer has not been deleted, the name is four bytes long, and where the answer is not 0, the chunk
        // has been written, whose bytes are a part of the data. An iterator owns no memory that would have to be released.
        unsafe {
            let name = name.as_ptr().cast();
            if ffi::WebPDemuxGetChunk(self.demuxer.as_ptr(), name, 1, chunk.as_mut_ptr()) == 0 {
                return None;
            }
            bytes(chunk.assume_init().chunk)
        }
    }

    /// Its EXIF data, without the prefix of JPEG that some writers put before them.
    fn exif(&self) -> Option<&'a [u8]> {
        let exif = self.chunk(b"EXIF")?;
        Some(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif))
    }

    /// Decodes the first frame to its place in `samples`, whose rows are `width` pixels of 3 or 4 channels; around a frame
    /// of an animation that is smaller than the image they stay as they are.
    fn frame(&self, width: usize, channels: usize, samples: &mut [u8]) -> Result<(), ImageError> {
        let mut frame = MaybeUninit::<ffi::WebPIterator>::uninit();
        // SAFETY: as for `chunk`.
        let frame = unsafe {
            if ffi::WebPDemuxGetFrame(self.demuxer.as_ptr(), 1, frame.as_mut_ptr()) == 0 {
                return Err(damaged("WebP", "it has no image"));
            }
            frame.assume_init()
        };
        // SAFETY: the frame's bytes are a part of the data, which outlive this borrow of the demuxer.
        let data = unsafe { bytes(frame.fragment) }.unwrap_or(&[]);
        let place = |x: c_int, y: c_int| (y as usize * width + x as usize) * channels;
        let misplaced = || damaged("WebP", "its frame lies outside of the image");
        let samples = samples
            .get_mut(place(frame.x_offset, frame.y_offset)..)
            .filter(|_| frame.x_offset as usize + frame.width as usize <= width)
            .ok_or_else(misplaced)?;
        let stride = c_int::try_from(width * channels).map_err(|_| misplaced())?;
        let mut config = ffi::WebPDecoderConfig::new()
            .map_err(|()| damaged("WebP", "libwebp is of another version"))?;
        config.output.colorspace = match channels {
            4 => ffi::WEBP_CSP_MODE::MODE_RGBA,
            _ => ffi::WEBP_CSP_MODE::MODE_RGB,
        };
        config.output.is_external_memory = 1;
        config.output.u.RGBA = ffi::WebPRGBABuffer {
            rgba: samples.as_mut_ptr(),
            stride,
            size: samples.len(),
        };
        // SAFETY: the data are readable, the samples writable, nothing else refers to them, and libwebp refuses an image
        // that does not fit into `size` bytes with rows of `stride`. The output is ours, so nothing is to be released.
        check(unsafe { ffi::WebPDecode(data.as_ptr(), data.len(), &mut config) })?;
        match (config.output.width, config.output.height) == (frame.width, frame.height) {
            true => Ok(()),
            false => Err(misplaced()),
        }
    }
}

impl Drop for File<'_> {
    fn drop(&mut self) {
        // SAFETY: it has been made by WebPDemux and is deleted once.
        unsafe { ffi::WebPDemuxDelete(self.demuxer.as_ptr()) }
    }
}

/// The bytes that libwebp points to; none for a null pointer.
///
/// # Safety
///
/// They have to be readable for as long as the slice lives.
unsafe fn bytes<'a>(data: ffi::WebPData) -> Option<&'a [u8]> {
    // SAFETY: the caller's.
    (!data.bytes.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.bytes, data.size) })
}

fn check(status: ffi::VP8StatusCode) -> Result<(), ImageError> {
    use ffi::VP8StatusCode::*;
    Err(match status {
        VP8_STATUS_OK => return Ok(()),
        VP8_STATUS_UNSUPPORTED_FEATURE => {
            ImageError::Unsupported("WebP: it has a feature that libwebp does not know".into())
        }
        VP8_STATUS_OUT_OF_MEMORY => damaged("WebP", "libwebp finds no memory for it"),
        VP8_STATUS_SUSPENDED | VP8_STATUS_NOT_ENOUGH_DATA => damaged("WebP", "its data end early"),
        _ => damaged("WebP", "its data are corrupt"),
    })
}
