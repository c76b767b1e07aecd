//! What is done to the pixels of a finished image, for sets of pairs.

use crate::{ImageError, Pixels, Rect};

named! {
    /// An operation on the prepared pixels.
    pub enum Effect {
        /// They stay as they are.
        None => "none",
        /// The magnitude of the gradient by Sobel's operator, of each channel by itself.
        ///
        /// With X = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]] and Y its transpose, applied to the image whose border pixels go
        /// on outside: sqrt(X^2 + Y^2) / 4, rounded, at most 255. So an ideal step from 0 to 255 has 255.
        Edges => "edges",
        /// A rectangle of half the width and half the height in the middle, its corner rounded down, is 128.
        Hole => "hole",
    }
}

named! {
    /// Which part of an image is looked at, where two stand side by side in one file.
    pub enum Half {
        /// All of it.
        Whole => "whole",
        /// The left one of two of the same width.
        Left => "left",
        /// The right one.
        Right => "right",
    }
}

/// What fills a hole: nearest to the middle of -1..1.
const FILL: u8 = 128;

impl Effect {
    /// Does it to an image of `width` and `height` with `channels`, interleaved.
    pub(crate) fn apply(self, data: &mut [u8], width: usize, height: usize, channels: usize) {
        match self {
            Self::None => {}
            Self::Edges => edges(data, width, height, channels),
            Self::Hole => {
                let (w, h) = (width / 2, height / 2);
                let (left, top) = ((width - w) / 2, (height - h) / 2);
                for row in data.chunks_exact_mut(width * channels).skip(top).take(h) {
                    row[left * channels..(left + w) * channels].fill(FILL);
                }
            }
        }
    }
}

fn edges(data: &mut [u8], width: usize, height: usize, channels: usize) {
    let from = data.to_vec();
    let at = |x: usize, y: usize, c: usize| i32::from(from[(y * width + x) * channels + c]);
    for y in 0..height {
        let (up, down) = (y.saturating_sub(1), (y + 1).min(height - 1));
        for x in 0..width {
            let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
            for c in 0..channels {
                let column = |x: usize| at(x, up, c) + 2 * at(x, y, c) + at(x, down, c);
                let row = |y: usize| at(left, y, c) + 2 * at(x, y, c) + at(right, y, c);
                let (across, along) = (column(right) - column(left), row(down) - row(up));
                let squares = f64::from(across * across + along * along);
                data[(y * width + x) * channels + c] =
                    (squares.sqrt() / 4.0).round().min(255.0) as u8;
            }
        }
    }
}

impl Half {
    /// That half of an image as an image; an error where its width is odd.
    pub(crate) fn of(self, image: &Pixels) -> Result<Pixels, ImageError> {
        if image.width % 2 == 1 {
            return Err(ImageError::Geometry(format!(
                "{}x{}: an odd width has no two halves",
                image.width, image.height
            )));
        }
        let width = image.width / 2;
        let part = Rect {
            x: if self == Self::Right { width } else { 0 },
            y: 0,
            width: if self == Self::Whole {
                image.width
            } else {
                width
            },
            height: image.height,
        };
        let rows = (0..part.height).flat_map(|y| image.row(&part, y));
        Pixels::new(
            part.width,
            part.height,
            image.channels,
            rows.copied().collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_an_edge_of_its_height_and_a_plane_has_none() {
        let mut plane = vec![77; 4 * 3 * 3];
        Effect::Edges.apply(&mut plane, 4, 3, 3);
        assert_eq!(plane, [0; 36]);
        let mut step = [0, 0, 255, 255].repeat(3);
        Effect::Edges.apply(&mut step, 4, 3, 1);
        assert_eq!(step, [0, 255, 255, 0].repeat(3));
        let mut lying = [[10; 3], [10; 3], [50; 3], [50; 3]].concat();
        Effect::Edges.apply(&mut lying, 3, 4, 1);
        assert_eq!(lying, [[0; 3], [40; 3], [40; 3], [0; 3]].concat());
    }

    #[test]
    fn edges_of_one_pixel_are_the_formula() {
        let mut spot = [0, 0, 0, 0, 100, 0, 0, 0, 0];
        Effect::Edges.apply(&mut spot, 3, 3, 1);
        // In a corner X = Y = 100; beside the spot one of them is 200.
        assert_eq!(spot, [35, 50, 35, 50, 0, 50, 35, 50, 35]);
        let mut corner = [255, 255, 255, 255, 0, 0, 255, 0, 0];
        Effect::Edges.apply(&mut corner, 3, 3, 1);
        assert_eq!(corner[4], 255, "no more than a byte holds");
    }

    #[test]
    fn a_hole_is_the_middle_quarter() {
        let mut image = [7; 16];
        Effect::Hole.apply(&mut image, 4, 4, 1);
        assert_eq!(
            image,
            [7, 7, 7, 7, 7, 128, 128, 7, 7, 128, 128, 7, 7, 7, 7, 7]
        );
        let mut odd = [7; 5 * 3 * 3];
        Effect::Hole.apply(&mut odd, 5, 3, 3);
        let filled: Vec<_> = (0..15).filter(|i| odd[i * 3] == 128).collect();
        assert_eq!(filled, [6, 7]);
    }

    #[test]
    fn halves_are_left_and_right() {
        let image = Pixels::new(4, 2, 1, (0..8).collect()).unwrap();
        assert_eq!(Half::Left.of(&image).unwrap().data, [0, 1, 4, 5]);
        assert_eq!(Half::Right.of(&image).unwrap().data, [2, 3, 6, 7]);
        let odd = Pixels::new(3, 1, 1, vec![0; 3]).unwrap();
        assert!(Half::Left.of(&odd).is_err());
    }
}
