//! The whole way of one image: bytes -> decode -> orientation -> alpha -> channels -> crop -> resize.

use crate::colour::luma;
use crate::decode::Reduced;
use crate::resize::pillow::{Geometry, Resizer};
use crate::{
    region, shown, Crop, DecodeOptions, Decoder, Effect, Filter, Half, ImageError, Pixels, Rect,
    Region,
};

/// Everything that decides the pixels of a prepared image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelPolicy {
    /// Width of the result.
    pub width: usize,
    /// Height of the result.
    pub height: usize,
    /// Which part of the image is kept.
    pub crop: Crop,
    /// Height of the picture of [`Crop::CenterWide`]; other crops do not look at it.
    pub band: usize,
    /// RGB around the picture of [`Crop::Pad`]; for one channel its luma counts.
    pub background: [u8; 3],
    /// How the kept part is resized; [`Crop::Dhariwal`] has its own filters.
    pub filter: Filter,
    /// Whether a JPEG that is at least [`FAST_MARGIN`] times larger than needed may be decoded at a half, a quarter or
    /// an eighth of its size. Never together with [`Crop::Dhariwal`], whose halving it would replace.
    pub fast: bool,
    /// Which half of the image is prepared as if it were all of it.
    pub half: Half,
    /// What is done to the finished pixels.
    pub effect: Effect,
    /// Channels, transparency, orientation and the size limit.
    pub decode: DecodeOptions,
}

/// With `fast`, the part of a JPEG that is kept has at least this many times the pixels of the result along each axis
/// when it comes out of the decoder.
pub const FAST_MARGIN: usize = 4;

impl PixelPolicy {
    /// Bytes of one prepared image.
    pub fn image_len(&self) -> usize {
        self.width * self.height * self.decode.channels
    }

    /// By how much (1, 2, 4 or 8) a JPEG of this upright size may be reduced in its decoder.
    fn reduction(&self, width: usize, height: usize) -> usize {
        let target = (self.width, self.height);
        let allowed = self.fast && self.crop != Crop::Dhariwal && self.half == Half::Whole;
        match self.crop.placement(width, height, target, self.band) {
            Ok(p) if allowed => [8, 4, 2]
                .into_iter()
                .find(|by| {
                    p.part.width >= p.size.0 * FAST_MARGIN * by
                        && p.part.height >= p.size.1 * FAST_MARGIN * by
                })
                .unwrap_or(1),
            _ => 1,
        }
    }
}

/// Prepares one image after the other; keeps decoder, tables and scratch memory, so make one for each thread.
#[derive(Default)]
pub struct Preparer {
    decoder: Decoder,
    resizer: Resizer,
    largest: Option<u16>,
    /// A resized picture before it is put on its background.
    picture: Vec<u8>,
    /// The last image whose tiles are cut out of it.
    kept: Option<Reduced>,
}

impl Preparer {
    /// The largest colour of 16 bits in the file of the last image; none where its samples have fewer.
    pub fn largest(&self) -> Option<u16> {
        self.largest
    }

    /// Decodes `data` and writes the prepared image, `policy.image_len()` bytes, into `out`.
    ///
    /// `region` is the part to keep for the crops that are given for each image; others do not look at it. Returns width
    /// and height of the upright image before the crop.
    pub fn encoded(
        &mut self,
        data: &[u8],
        policy: &PixelPolicy,
        region: Option<&Region>,
        out: &mut [u8],
    ) -> Result<(usize, usize), ImageError> {
        self.largest = None;
        let reduced = self
            .decoder
            .decode_reduced(data, &policy.decode, |w, h| policy.reduction(w, h))?;
        let size = reduced.full;
        self.largest = reduced.largest;
        let result = self.finished(&reduced, policy, region, out);
        let last = match policy.crop {
            Crop::Tile => self.kept.replace(reduced),
            _ => Some(reduced),
        };
        if let Some(last) = last {
            self.decoder.recycle(last.pixels);
        }
        result.map(|()| size)
    }

    /// As `encoded`, another tile of the image that was given to `encoded` last, without decoding it again; None where it
    /// was not kept.
    pub fn again(
        &mut self,
        policy: &PixelPolicy,
        region: Option<&Region>,
        out: &mut [u8],
    ) -> Option<Result<(usize, usize), ImageError>> {
        let kept = self.kept.take()?;
        self.largest = kept.largest;
        let result = self.finished(&kept, policy, region, out);
        let size = kept.full;
        self.kept = Some(kept);
        Some(result.map(|()| size))
    }

    /// As `encoded`, for an image that is pixels already (1 to 4 channels).
    pub fn raw(
        &mut self,
        image: Pixels,
        policy: &PixelPolicy,
        region: Option<&Region>,
        out: &mut [u8],
    ) -> Result<(usize, usize), ImageError> {
        self.largest = None;
        let size = (image.width, image.height);
        let image = crate::colour::flatten_alpha(image, policy.decode.alpha)?;
        let image = crate::colour::to_channels(image, policy.decode.channels)?;
        self.finished(&Reduced::not(image), policy, region, out)?;
        Ok(size)
    }

    /// All that is done once an image is decoded.
    fn finished(
        &mut self,
        image: &Reduced,
        policy: &PixelPolicy,
        region: Option<&Region>,
        out: &mut [u8],
    ) -> Result<(), ImageError> {
        match policy.half {
            Half::Whole => self.crop_and_resize(image, policy, region, out)?,
            half => {
                let half = Reduced::not(half.of(&image.pixels)?);
                self.crop_and_resize(&half, policy, region, out)?;
            }
        }
        let channels = policy.decode.channels;
        policy
            .effect
            .apply(out, policy.width, policy.height, channels);
        Ok(())
    }

    fn crop_and_resize(
        &mut self,
        image: &Reduced,
        policy: &PixelPolicy,
        region: Option<&Region>,
        out: &mut [u8],
    ) -> Result<(), ImageError> {
        let (w, h) = image.full;
        let target = (policy.width, policy.height);
        match (policy.crop, region) {
            (Crop::Dhariwal, _) => return self.dhariwal(&image.pixels, policy, out),
            (Crop::Box, Some(region)) => {
                let luma = [luma(&policy.background)];
                let background = match image.pixels.channels {
                    1 => &luma[..],
                    _ => &policy.background[..],
                };
                return region::boxed(
                    &mut self.resizer,
                    &image.pixels,
                    region,
                    target,
                    policy.filter,
                    background,
                    out,
                );
            }
            (Crop::Tile, Some(region)) => {
                return region::tile(
                    &mut self.resizer,
                    &image.pixels,
                    region,
                    policy.width,
                    policy.filter,
                    out,
                );
            }
            (Crop::Landmarks, Some(region)) => {
                return region::straightened(
                    &mut self.resizer,
                    &image.pixels,
                    region,
                    target,
                    policy.filter,
                    out,
                );
            }
            _ => {}
        }
        let placement = policy.crop.placement(w, h, target, policy.band)?;
        let geometry = image.geometry(&Geometry {
            window: placement.window,
            ..Geometry::whole(placement.part, placement.size)
        });
        let Rect { width, height, .. } = placement.window;
        if (width, height) == target {
            return self
                .resizer
                .resize(&image.pixels, &geometry, policy.filter, out);
        }

        let c = image.pixels.channels;
        self.picture.resize(width * height * c, 0);
        self.resizer
            .resize(&image.pixels, &geometry, policy.filter, &mut self.picture)?;
        match c {
            1 => out.fill(luma(&policy.background)),
            _ => {
                let pixels = out.chunks_exact_mut(3);
                pixels.for_each(|px| px.copy_from_slice(&policy.background));
            }
        }
        for (y, row) in self.picture.chunks_exact(width * c).enumerate() {
            let at = ((placement.at.1 + y) * policy.width + placement.at.0) * c;
            out[at..at + width * c].copy_from_slice(row);
        }
        Ok(())
    }

    fn dhariwal(
        &mut self,
        image: &Pixels,
        policy: &PixelPolicy,
        out: &mut [u8],
    ) -> Result<(), ImageError> {
        let target = (policy.width, policy.height);
        let (mut w, mut h) = (image.width, image.height);
        let mut halved: Option<Pixels> = None;
        while let Some(size) = shown::halved((w, h), policy.width) {
            let from = halved.as_ref().unwrap_or(image);
            let mut data = vec![0; size.0 * size.1 * image.channels];
            let geometry = Geometry::whole(Rect::from_size(w, h), size);
            self.resizer
                .resize(from, &geometry, Filter::Box, &mut data)?;
            halved = Some(Pixels::new(size.0, size.1, image.channels, data)?);
            (w, h) = size;
        }
        let placement = policy.crop.placement(w, h, target, policy.band)?;
        let geometry = Geometry {
            window: placement.window,
            ..Geometry::whole(placement.part, placement.size)
        };
        let from = halved.as_ref().unwrap_or(image);
        self.resizer.resize(from, &geometry, Filter::Bicubic, out)
    }
}
