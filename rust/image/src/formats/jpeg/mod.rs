//! JPEG as libjpeg-turbo decodes it: the accurate inverse DCT and smooth ("fancy") chroma upsampling, as in Pillow and
//! OpenCV. Plain baseline and progressive files, nearly all there are, take a shorter way to the same samples,
//! [`baseline`].

mod baseline;

use baseline::BaselineDecoder;
use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat, ScalingFactor};

use super::{damaged, Format, Limit, Raw, KEPT_MEMORY};
use crate::colour::adobe_cmyk_to_rgb;
use crate::orientation::{exif_orientation, from_exif, jpeg_exif};
use crate::{Header, ImageError, Mode, Pixels};

/// Scans of a progressive file beyond this many are an attack, not an image.
const SCAN_LIMIT: u32 = 500;

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let short = || damaged("JPEG", "the file ends in its header");
    let mut at = 2;
    let mut frame = None;
    loop {
        if *data.get(at).ok_or_else(short)? != 0xff {
            return Err(damaged("JPEG", "no marker where one has to be"));
        }
        let marker = *data.get(at + 1).ok_or_else(short)?;
        match marker {
            0xff => {
                at += 1; // fill byte
                continue;
            }
            0x01 | 0xd0..=0xd8 => {
                at += 2; // no length
                continue;
            }
            0xd9 => return Err(damaged("JPEG", "it ends before its image")),
            _ => {}
        }
        let length = data.get(at + 2..at + 4).ok_or_else(short)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let body = data.get(at + 4..at + 2 + length).ok_or_else(short)?;
        match marker {
            // Start of frame; C4, C8 and CC are other segments.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [bits, h1, h0, w1, w0, components, ..] = *body else {
                    return Err(short());
                };
                frame = Some((
                    bits,
                    u16::from_be_bytes([h1, h0]),
                    u16::from_be_bytes([w1, w0]),
                    components,
                ));
            }
            // Start of scan: what follows is compressed, up to the end marker.
            0xda => {
                at += 2 + length;
                break;
            }
            _ => {}
        }
        at += 2 + length;
    }
    let Some((bits, height, width, components)) = frame else {
        return Err(damaged("JPEG", "a scan before its frame"));
    };
    if !data[at..].windows(2).rev().any(|pair| pair == [0xff, 0xd9]) {
        return Err(damaged("JPEG", "the file is cut off, it has no end marker"));
    }
    Ok(Header {
        format: Format::Jpeg,
        width: width.into(),
        height: height.into(),
        mode: match components {
            1 => Mode::Grey,
            3 => Mode::Rgb,
            4 => Mode::Cmyk,
            n => return Err(ImageError::Unsupported(format!("JPEG: {n} components"))),
        },
        bits,
        alpha: false,
        orientation: exif_orientation(jpeg_exif(data)),
    })
}

/// The image at its full size, by a decoder of its own.
pub(super) fn decode(data: &[u8], limit: Limit) -> Result<Raw, ImageError> {
    let jpeg = JpegDecoder::default().decode(data, limit, |_, _| 1)?;
    Ok(Raw {
        pixels: jpeg.pixels,
        orientation: from_exif(jpeg_exif(data)),
    })
}

#[derive(Default)]
pub(crate) struct JpegDecoder {
    baseline: BaselineDecoder,
    /// The memory of an earlier image. Fresh memory costs a page fault for every 4 KiB.
    spare: Vec<u8>,
}

/// A JPEG as stored, not yet turned, reduced along each axis.
pub(crate) struct Jpeg {
    pub(crate) pixels: Pixels,
    pub(crate) full: (usize, usize),
    pub(crate) by: usize,
}

impl JpegDecoder {
    /// A damaged or truncated file is an error: libjpeg's warnings are taken as errors, because what it returns then is
    /// an image that is partly grey.
    pub(crate) fn decode(
        &mut self,
        data: &[u8],
        limit: Limit,
        reduction: impl FnOnce(usize, usize) -> usize,
    ) -> Result<Jpeg, ImageError> {
        // A decompressor that is used again keeps the tables of the file before, which one without tables would then be
        // decoded with, and after some errors refuses every later file. A new one costs a thousandth of a small image.
        let mut decompressor = new_decompressor().map_err(bad)?;
        let header = decompressor.read_header(data).map_err(bad)?;
        let full = limit.check(header.width as u64, header.height as u64)?;
        // A lossless JPEG has no DCT that could be taken at fewer points.
        let by = match header.is_lossless {
            true => 1,
            false => reduction(full.0, full.1),
        };
        let factor = ScalingFactor::new(1, by);
        decompressor.set_scaling_factor(factor).map_err(bad)?;
        let (width, height) = (factor.scale(full.0), factor.scale(full.1));
        let format = match header.colorspace {
            Colorspace::Gray => PixelFormat::GRAY,
            Colorspace::CMYK | Colorspace::YCCK => PixelFormat::CMYK,
            _ => PixelFormat::RGB,
        };
        let pitch = width * format.size();
        let mut samples = std::mem::take(&mut self.spare);
        // Only growth is cleared; what is there is overwritten.
        samples.resize(height * pitch, 0);
        let known = matches!(header.colorspace, Colorspace::Gray | Colorspace::YCbCr);
        let done = known && self.baseline.decode(data, by, full, &mut samples).is_some();
        if !done {
            let image = Image {
                pixels: &mut samples[..],
                width,
                pitch,
                height,
                format,
            };
            decompressor.decompress(data, image).map_err(bad)?;
        }
        let (channels, samples) = match format {
            PixelFormat::GRAY => (1, samples),
            PixelFormat::CMYK => (3, adobe_cmyk_to_rgb(&samples)),
            _ => (3, samples),
        };
        Ok(Jpeg {
            pixels: Pixels::new(width, height, channels, samples)?,
            full,
            by,
        })
    }

    /// Keeps the memory of an image for the next one.
    pub(crate) fn recycle(&mut self, memory: Vec<u8>) {
        if memory.capacity() <= KEPT_MEMORY && memory.capacity() > self.spare.capacity() {
            self.spare = memory;
        }
    }
}

fn bad(error: turbojpeg::Error) -> ImageError {
    match error {
        // The size of a file of tables only, -1.
        turbojpeg::Error::IntegerOverflow(_) => {
            damaged("JPEG", "TurboJPEG error: JPEG datastream contains no image")
        }
        error => damaged("JPEG", error),
    }
}

fn new_decompressor() -> turbojpeg::Result<Decompressor> {
    let mut decompressor = Decompressor::new()?;
    decompressor.set_scan_limit(SCAN_LIMIT)?;
    Ok(decompressor)
}

#[cfg(test)]
mod tests {
    use turbojpeg::Compressor;

    use super::*;

    const SIZE: usize = 40;

    fn file(optimize: bool, quality: i32) -> Vec<u8> {
        let pixels: Vec<u8> = (0..3 * SIZE * SIZE).map(|i| (i * i / 97) as u8).collect();
        let mut compressor = Compressor::new().unwrap();
        compressor.set_optimize(optimize).unwrap();
        compressor.set_quality(quality).unwrap();
        let image = Image {
            pixels: &pixels[..],
            width: SIZE,
            pitch: 3 * SIZE,
            height: SIZE,
            format: PixelFormat::RGB,
        };
        compressor.compress_to_vec(image).unwrap()
    }

    /// The file without its segments of one kind.
    fn without(data: &[u8], marker: u8) -> Vec<u8> {
        let (mut at, mut kept) = (2, data[..2].to_vec());
        while data[at + 1] != 0xda {
            let end = at + 2 + usize::from(u16::from_be_bytes([data[at + 2], data[at + 3]]));
            if data[at + 1] != marker {
                kept.extend(&data[at..end]);
            }
            at = end;
        }
        [&kept, &data[at..]].concat()
    }

    #[test]
    fn a_file_does_not_take_tables_of_the_file_before() {
        let mut decoder = JpegDecoder::default();
        let mut decode = |data: &[u8]| {
            let jpeg = decoder.decode(data, Limit(1 << 20), |_, _| 1);
            jpeg.map(|jpeg| jpeg.pixels.data)
        };
        let whole = file(false, 60);
        let want = decode(&whole).unwrap();
        // Without Huffman tables, as in Motion JPEG, those of T.81, annex K.3, hold.
        for _ in 0..2 {
            decode(&file(true, 95)).unwrap();
            assert_eq!(decode(&without(&whole, 0xc4)).unwrap(), want);
            assert!(decode(&without(&whole, 0xdb)).is_err());
        }
    }
}
