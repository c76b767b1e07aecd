//! One file a format: what its header declares, and its pixels.

mod bmp;
pub(crate) mod depth;
mod gif;
pub(crate) mod jpeg;
mod others;
mod png;
mod pnm;
mod tga;
mod tiff;
mod webp;

use depth::SixteenBit;
pub(crate) use others::not_an_image;

use crate::{Header, ImageError, Pixels};

/// Memory kept from one image to the next, at most; larger images are rare and pay for their own.
const KEPT_MEMORY: usize = 128 << 20;

named! {
    /// The file formats that are read.
    pub enum Format {
        /// JPEG.
        Jpeg => "JPEG",
        /// PNG.
        Png => "PNG",
        /// WebP, lossy or not.
        WebP => "WebP",
        /// Windows BMP.
        Bmp => "BMP",
        /// GIF.
        Gif => "GIF",
        /// TIFF.
        Tiff => "TIFF",
        /// PBM, PGM and PPM.
        Pnm => "PNM",
        /// Truevision TGA.
        Tga => "TGA",
    }
}

impl Format {
    /// The format of the file `data`, told by how it begins.
    pub fn of(data: &[u8]) -> Option<Self> {
        match data {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [b'B', b'M', ..] => Some(Self::Bmp),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            // With 42, or 43 for files beyond 4 GB (BigTIFF).
            [b'I', b'I', 0x2a | 0x2b, 0, ..] | [b'M', b'M', 0, 0x2a | 0x2b, ..] => Some(Self::Tiff),
            [b'P', b'1'..=b'6', b' ' | 0x09..=0x0d | b'#', ..] => Some(Self::Pnm),
            // The one format without a mark, so the last to be asked.
            _ if tga::accepts(data) => Some(Self::Tga),
            _ => None,
        }
    }

    /// What the head of a file of this format declares.
    pub(crate) fn header(self, data: &[u8]) -> Result<Header, ImageError> {
        match self {
            Self::Jpeg => jpeg::header(data),
            Self::Png => png::header(data),
            Self::WebP => webp::header(data),
            Self::Bmp => bmp::header(data),
            Self::Gif => gif::header(data),
            Self::Tiff => tiff::header(data),
            Self::Pnm => pnm::header(data),
            Self::Tga => tga::header(data),
        }
    }

    /// The pixels of a file of this format.
    pub(crate) fn decode(
        self,
        data: &[u8],
        limit: Limit,
        sixteen: SixteenBit,
    ) -> Result<Deep, ImageError> {
        let raw = match self {
            Self::Png => return png::decode(data, limit, sixteen),
            Self::Tiff => return tiff::decode(data, limit, sixteen),
            Self::Pnm => return pnm::decode(data, limit, sixteen),
            Self::Jpeg => jpeg::decode(data, limit),
            Self::WebP => webp::decode(data, limit),
            Self::Bmp => bmp::decode(data, limit),
            Self::Gif => gif::decode(data, limit),
            Self::Tga => tga::decode(data, limit),
        };
        raw.map(Deep::from)
    }
}

/// What a format's decoder returns: 1 to 4 channels as stored, and how they have to be turned.
pub(crate) struct Raw {
    pub(crate) pixels: Pixels,
    /// 1 to 8, as in EXIF.
    pub(crate) orientation: u8,
}

/// What becomes of a file whose samples may have 16 bits.
pub(crate) struct Deep {
    pub(crate) raw: Raw,
    /// The largest colour of 16 bits; none of files of fewer.
    pub(crate) largest: Option<u16>,
}

impl From<Raw> for Deep {
    fn from(raw: Raw) -> Self {
        Self { raw, largest: None }
    }
}

/// The limit on declared pixels.
#[derive(Clone, Copy)]
pub(crate) struct Limit(pub(crate) u64);

impl Limit {
    /// Width and height as sizes in memory, or the error for an image that is empty or too large.
    pub(crate) fn check(self, width: u64, height: u64) -> Result<(usize, usize), ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::Geometry(format!(
                "declares a size of {width}x{height}"
            )));
        }
        match width.checked_mul(height) {
            Some(n) if n <= self.0 => Ok((width as usize, height as usize)),
            _ => Err(ImageError::TooLarge {
                width,
                height,
                limit: self.0,
            }),
        }
    }
}

pub(crate) fn damaged(format: &'static str, reason: impl std::fmt::Display) -> ImageError {
    ImageError::Damaged {
        format,
        reason: reason.to_string(),
    }
}

/// Puts the pieces of `length` of `samples`, as rows of an image, in the opposite order.
fn mirror_rows(samples: &mut [u8], length: usize) {
    let count = samples.len() / length;
    for i in 0..count / 2 {
        let (upper, lower) = samples.split_at_mut((count - 1 - i) * length);
        upper[i * length..][..length].swap_with_slice(&mut lower[..length]);
    }
}
