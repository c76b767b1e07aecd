//! Parts of an image that are given for each image: a square, or a quadrilateral that is straightened.

use crate::resize::pillow::{Geometry, Resizer};
use crate::{Filter, ImageError, Pixels, Rect};

/// The corners of a part of one image: north-west, south-west, south-east, north-east, each x and y.
///
/// For [`crate::Crop::Box`] and [`crate::Crop::Tile`] they are whole numbers between pixels, those of an upright square.
/// For [`crate::Crop::Landmarks`] they are any, and whole numbers are the middles of pixels. They may lie outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region(pub [f64; 8]);

/// A straightened part is sampled at this many times the width and height of the result, then shrunk.
const SUPERSAMPLING: usize = 4;
/// Nothing in an image is further away than this, so numbers behind it are no coordinates.
const FAR: f64 = 1e6;

impl Region {
    /// x, y and side of an upright square.
    fn square(&self) -> Result<(i64, i64, usize), ImageError> {
        let [x, y, x_sw, y_sw, x_se, y_se, x_ne, y_ne] = self.0;
        let side = x_se - x;
        let upright = (x_sw, y_ne) == (x, y) && (x_ne, y_sw) == (x_se, y_se) && y_se - y == side;
        let whole = [x, y, side]
            .iter()
            .all(|v| v.fract() == 0.0 && v.abs() <= FAR);
        if !upright || !whole || side < 1.0 {
            return Err(ImageError::Geometry(format!(
                "its box {:?} is no square",
                self.0
            )));
        }
        Ok((x as i64, y as i64, side as usize))
    }

    fn check_corners(&self) -> Result<(), ImageError> {
        let area = {
            let [a, b, c, d, e, f, g, h] = self.0;
            ((e - a) * (h - d) - (g - c) * (f - b)).abs()
        };
        if self.0.iter().all(|v| v.abs() <= FAR) && area >= 1.0 {
            return Ok(());
        }
        Err(ImageError::Geometry(
            "its landmarks lie in one point or outside of any image".into(),
        ))
    }
}

/// The square of `region`, resized to `size`; what lies outside of the image is `background`.
///
/// Byte for byte equal to Pillow's `image.crop(square).resize(size, filter)`, whose background is black.
pub(crate) fn boxed(
    resizer: &mut Resizer,
    image: &Pixels,
    region: &Region,
    size: (usize, usize),
    filter: Filter,
    background: &[u8],
    out: &mut [u8],
) -> Result<(), ImageError> {
    let (x, y, side) = region.square()?;
    let clip = |start: i64, length: usize| {
        let end = (start + side as i64).clamp(0, length as i64) as usize;
        (start.clamp(0, length as i64) as usize, end)
    };
    let ((left, right), (top, bottom)) = (clip(x, image.width), clip(y, image.height));
    if left == right || top == bottom {
        return Err(ImageError::Geometry(format!(
            "its box {side}x{side}+{x}+{y} is outside of {}x{}",
            image.width, image.height
        )));
    }
    if (right - left, bottom - top) == (side, side) {
        let geometry = Geometry::whole(
            Rect {
                x: left,
                y: top,
                width: side,
                height: side,
            },
            size,
        );
        return resizer.resize(image, &geometry, filter, out);
    }
    // A box mostly outside of its image is no picture, and a huge one would be a lot of memory for nothing.
    if side > 4 * image.width.max(image.height) {
        return Err(ImageError::Geometry(format!(
            "its box {side}x{side}+{x}+{y} is far larger than {}x{}",
            image.width, image.height
        )));
    }
    let c = image.channels;
    let mut data = background.repeat(side * side);
    for row in top..bottom {
        let from = (row * image.width + left) * c;
        let to = ((row as i64 - y) as usize * side + (left as i64 - x) as usize) * c;
        let length = (right - left) * c;
        data[to..to + length].copy_from_slice(&image.data[from..from + length]);
    }
    let square = Pixels::new(side, side, c, data)?;
    resizer.resize(
        &square,
        &Geometry::whole(Rect::from_size(side, side), size),
        filter,
        out,
    )
}

/// The square of `region`, `size` wide, in the image made smaller by as much as the square is larger than `size`.
///
/// Where that is not at all these are the image's pixels. Otherwise columns and rows at the right and lower end of the
/// image that are no whole multiple of the factor are left out, the rest is resized as a whole, and the tile is cut out
/// of that: so what lies beside a tile counts for its border, as when the images are made smaller first and cut then.
pub(crate) fn tile(
    resizer: &mut Resizer,
    image: &Pixels,
    region: &Region,
    size: usize,
    filter: Filter,
    out: &mut [u8],
) -> Result<(), ImageError> {
    let (x, y, side) = region.square()?;
    let scale = side / size;
    let on_the_grid = |start: i64| start >= 0 && (start as usize).is_multiple_of(scale.max(1));
    if scale * size != side || !on_the_grid(x) || !on_the_grid(y) {
        return Err(ImageError::Geometry(format!(
            "its tile {side}x{side}+{x}+{y} is not on the grid of {size}x{size}"
        )));
    }
    let (width, height) = (image.width / scale, image.height / scale);
    let window = Rect {
        x: x as usize / scale,
        y: y as usize / scale,
        width: size,
        height: size,
    };
    if !window.is_inside(width, height) {
        return Err(ImageError::Geometry(format!(
            "{}x{} is too small for the tile {side}x{side}+{x}+{y}",
            image.width, image.height
        )));
    }
    let part = Rect::from_size(width * scale, height * scale);
    let geometry = Geometry {
        window,
        ..Geometry::whole(part, (width, height))
    };
    resizer.resize(image, &geometry, filter, out)
}

/// The quadrilateral of `region` straightened to `size`, as the alignment of FFHQ and CelebA-HQ does it: an image more
/// than twice too fine is shrunk by a whole factor first, then sampled bilinearly at four times `size`, then shrunk.
///
/// Byte for byte equal to those steps in Pillow; what lies outside of the image is black.
pub(crate) fn straightened(
    resizer: &mut Resizer,
    image: &Pixels,
    region: &Region,
    size: (usize, usize),
    filter: Filter,
    out: &mut [u8],
) -> Result<(), ImageError> {
    region.check_corners()?;
    let mut corners = region.0;
    let side = (corners[6] - corners[0]).hypot(corners[7] - corners[1]);
    let shrink = (side / size.0 as f64 * 0.5).floor();
    let shrunk = if shrink > 1.0 {
        let smaller = |n: usize| ((n as f64 / shrink).round_ties_even() as usize).max(1);
        let (w, h) = (smaller(image.width), smaller(image.height));
        let mut data = vec![0; w * h * image.channels];
        let whole = Geometry::whole(Rect::of(image), (w, h));
        resizer.resize(image, &whole, filter, &mut data)?;
        corners = corners.map(|v| v / shrink);
        Some(Pixels::new(w, h, image.channels, data)?)
    } else {
        None
    };
    let large = (size.0 * SUPERSAMPLING, size.1 * SUPERSAMPLING);
    // From the middles of pixels to the plane whose origin is the corner of the first.
    let warped = warp(
        shrunk.as_ref().unwrap_or(image),
        corners.map(|v| v + 0.5),
        large,
    )?;
    resizer.resize(
        &warped,
        &Geometry::whole(Rect::from_size(large.0, large.1), size),
        filter,
        out,
    )
}

/// Pillow's `image.transform(size, QUAD, corners, BILINEAR)`.
fn warp(image: &Pixels, corners: [f64; 8], size: (usize, usize)) -> Result<Pixels, ImageError> {
    let (w, h, c) = (image.width, image.height, image.channels);
    let [x_nw, y_nw, x_sw, y_sw, x_se, y_se, x_ne, y_ne] = corners;
    let (across, down) = (1.0 / size.0 as f64, 1.0 / size.1 as f64);
    // Pillow's order of operations, so that the last bit is the same.
    let bilinear = |nw: f64, sw: f64, se: f64, ne: f64| {
        [
            nw,
            (ne - nw) * across,
            (sw - nw) * down,
            (se - sw - ne + nw) * across * down,
        ]
    };
    let a = bilinear(x_nw, x_sw, x_se, x_ne);
    let b = bilinear(y_nw, y_sw, y_se, y_ne);
    let mut data = vec![0; size.0 * size.1 * c];
    for (row, line) in data.chunks_exact_mut(size.0 * c).enumerate() {
        let v = row as f64 + 0.5;
        for (column, out) in line.chunks_exact_mut(c).enumerate() {
            let u = column as f64 + 0.5;
            let x = a[0] + a[1] * u + a[2] * v + a[3] * u * v;
            let y = b[0] + b[1] * u + b[2] * v + b[3] * u * v;
            if x < 0.0 || x >= w as f64 || y < 0.0 || y >= h as f64 {
                continue;
            }
            let (x, y) = (x - 0.5, y - 0.5);
            let (left, top) = (x.floor(), y.floor());
            let (dx, dy) = (x - left, y - top);
            let inside = |n: f64, length: usize| (n as i64).clamp(0, length as i64 - 1) as usize;
            let (x0, x1) = (inside(left, w) * c, inside(left + 1.0, w) * c);
            let (y0, y1) = (inside(top, h) * w * c, inside(top + 1.0, h) * w * c);
            for (k, out) in out.iter_mut().enumerate() {
                let at = |i: usize| f64::from(image.data[i + k]);
                let upper = at(y0 + x0) + (at(y0 + x1) - at(y0 + x0)) * dx;
                let lower = at(y1 + x0) + (at(y1 + x1) - at(y1 + x0)) * dx;
                *out = (upper + (lower - upper) * dy) as u8;
            }
        }
    }
    Pixels::new(size.0, size.1, c, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(w: usize, h: usize) -> Pixels {
        let data = (0..w * h * 3).map(|i| (i * 37 % 251) as u8).collect();
        Pixels::new(w, h, 3, data).unwrap()
    }

    fn square(x: f64, y: f64, side: f64) -> Region {
        Region([x, y, x, y + side, x + side, y + side, x + side, y])
    }

    #[test]
    fn a_box_inside_is_a_crop_and_outside_is_background() {
        let image = image(9, 7);
        let mut out = vec![0; 4 * 4 * 3];
        let run = |region: Region, out: &mut Vec<u8>| {
            let background = [1, 2, 3];
            boxed(
                &mut Resizer::default(),
                &image,
                &region,
                (4, 4),
                Filter::Box,
                &background,
                out,
            )
        };
        run(square(3.0, 2.0, 4.0), &mut out).unwrap();
        assert_eq!(out[..12], image.data[(2 * 9 + 3) * 3..][..12]);
        run(square(7.0, 5.0, 4.0), &mut out).unwrap();
        assert_eq!(out[..6], image.data[(5 * 9 + 7) * 3..][..6]);
        assert_eq!(out[6..12], [1, 2, 3, 1, 2, 3]);
        for wrong in [
            square(9.0, 0.0, 4.0),
            square(0.0, -4.0, 4.0),
            square(0.0, 0.0, 0.0),
            square(0.5, 0.0, 4.0),
            square(-5e5, -5e5, 9e5),
            square(f64::NAN, 0.0, 4.0),
            Region([0.0, 0.0, 0.0, 4.0, 5.0, 4.0, 5.0, 0.0]),
        ] {
            assert!(run(wrong, &mut out).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_upright_quadrilateral_of_the_images_size_gives_the_image() {
        let image = image(8, 8);
        let mut out = vec![0; 8 * 8 * 3];
        let whole = square(-0.5, -0.5, 8.0);
        straightened(
            &mut Resizer::default(),
            &image,
            &whole,
            (8, 8),
            Filter::Box,
            &mut out,
        )
        .unwrap();
        // Sampled bilinearly four times as fine and averaged: a slight blur, with the same mean.
        let mean = |v: &[u8]| v.iter().map(|&v| f64::from(v)).sum::<f64>() / v.len() as f64;
        assert!((mean(&out) - mean(&image.data)).abs() < 1.5);
        for wrong in [[f64::NAN; 8], [3.0; 8], [f64::INFINITY; 8], [1e300; 8]] {
            let error = straightened(
                &mut Resizer::default(),
                &image,
                &Region(wrong),
                (8, 8),
                Filter::Box,
                &mut out,
            );
            assert!(error.is_err());
        }
    }
}
