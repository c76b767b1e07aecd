//! Colour conversions, each with Pillow's integer arithmetic, and what happens to transparency.

use crate::{ImageError, Pixels};

named! {
    /// What to do with an image that has transparent pixels. Alpha that is opaque everywhere is always dropped.
    pub enum AlphaPolicy {
        /// Refuse the image.
        Error => "error",
        /// Ignore the alpha channel, as Pillow's `convert("RGB")` does.
        Drop => "drop",
        /// Composite over white.
        White => "white",
        /// Composite over black.
        Black => "black",
    }
}

/// `x / 255`, rounded, for `x` in `0..=255 * 255` (Pillow's DIV255).
fn div255(x: u32) -> u32 {
    let t = x + 128;
    ((t >> 8) + t) >> 8
}

/// Luma of ITU-R 601 in 16-bit fixed point, as Pillow's `convert("L")`.
pub(crate) fn luma(rgb: &[u8]) -> u8 {
    let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as u8
}

/// Inverted (Adobe) CMYK samples to RGB, in place of the first three of every four, as Pillow reads such a JPEG and
/// then converts it: `nk = 255 - k; c -> nk - c * nk / 255`.
pub(crate) fn adobe_cmyk_to_rgb(cmyk: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(cmyk.len() / 4 * 3);
    for px in cmyk.chunks_exact(4) {
        // The file stores 255 - k, so `nk` is the stored value itself.
        let nk = u32::from(px[3]);
        rgb.extend(
            px[..3]
                .iter()
                .map(|&c| (nk - div255(u32::from(255 - c) * nk)) as u8),
        );
    }
    rgb
}

/// Drops the alpha channel of a 2- or 4-channel image by `policy`; other images pass through.
pub(crate) fn flatten_alpha(image: Pixels, policy: AlphaPolicy) -> Result<Pixels, ImageError> {
    let (colours, width, height) = match image.channels {
        2 => (1, image.width, image.height),
        4 => (3, image.width, image.height),
        _ => return Ok(image),
    };
    let pixels = || image.data.chunks_exact(colours + 1);
    let opaque = pixels().all(|px| px[colours] == 255);
    let background = match policy {
        _ if opaque => None,
        AlphaPolicy::Error => return Err(ImageError::HasAlpha),
        AlphaPolicy::Drop => None,
        AlphaPolicy::White => Some(255),
        AlphaPolicy::Black => Some(0),
    };
    let mut data = Vec::with_capacity(width * height * colours);
    for px in pixels() {
        match background {
            None => data.extend_from_slice(&px[..colours]),
            Some(b) => {
                let a = u32::from(px[colours]);
                data.extend(
                    px[..colours]
                        .iter()
                        .map(|&v| div255(b * (255 - a) + u32::from(v) * a) as u8),
                );
            }
        }
    }
    Pixels::new(width, height, colours, data)
}

/// Converts between 1 (grey) and 3 (RGB) channels: grey is repeated, RGB becomes its luma.
pub(crate) fn to_channels(image: Pixels, channels: usize) -> Result<Pixels, ImageError> {
    let data = match (image.channels, channels) {
        (a, b) if a == b => return Ok(image),
        (1, 3) => image.data.iter().flat_map(|&v| [v, v, v]).collect(),
        (3, 1) => image.data.chunks_exact(3).map(luma).collect(),
        (a, b) => {
            return Err(ImageError::Geometry(format!(
                "no conversion from {a} to {b} channels"
            )))
        }
    };
    Pixels::new(image.width, image.height, channels, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn div255_is_the_rounded_quotient() {
        for x in 0..=255 * 255 {
            assert_eq!(div255(x), (x as f64 / 255.0).round() as u32, "{x}");
        }
    }

    #[test]
    fn opaque_alpha_is_dropped_under_every_policy() {
        for (_, policy) in AlphaPolicy::NAMES {
            let image = Pixels::new(1, 2, 4, vec![1, 2, 3, 255, 4, 5, 6, 255]).unwrap();
            let flat = flatten_alpha(image, policy).unwrap();
            assert_eq!(flat.data, [1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn transparency_is_composited_or_refused() {
        let image = || Pixels::new(1, 1, 2, vec![100, 51]).unwrap();
        let value = |policy| flatten_alpha(image(), policy).map(|p| p.data[0]);
        assert_eq!(value(AlphaPolicy::Error), Err(ImageError::HasAlpha));
        assert_eq!(value(AlphaPolicy::Drop), Ok(100));
        assert_eq!(value(AlphaPolicy::White), Ok(224)); // 0.2 * 100 + 0.8 * 255
        assert_eq!(value(AlphaPolicy::Black), Ok(20));
    }
}
