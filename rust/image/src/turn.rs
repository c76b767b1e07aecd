//! A frontal face seen from the side: each pixel moved by the depth of an ellipsoid with a nose.
//!
//! For faces aligned as `gantools prep frontal` does: in a square of 128 the eyes are level, their middle is at
//! (63.5, 40), and the middle of the mouth 48 below it. With X and Y counted from the middle of pixels of that square,
//! the depth is Z = 46 sqrt(1 - ((X - 63.5) / 50)^2 - ((Y - 61) / 68)^2) where the root is real, and 0 elsewhere, and on
//! it 14 exp(-((X - 63.5) / 7)^2 - ((Y - 65) / 10)^2). A turn by the angle a about the upright axis through X = 63.5
//! moves a point to X' = 63.5 + (X - 63.5) cos a + Z sin a: with a above 0 the nose points to the right.

/// Side of the square that the numbers are for.
const SIDE: f64 = 128.0;
/// The axis, and the middle of the face.
const MIDDLE: f64 = 63.5;
/// Samples of a row for each pixel of it, of the face and of the result alike.
const SAMPLES: usize = 4;

/// Depth at a place of the square; none where there is no face.
fn depth(x: f64, y: f64) -> Option<f64> {
    let (across, down) = ((x - MIDDLE) / 50.0, (y - 61.0) / 68.0);
    let square = 1.0 - across * across - down * down;
    (square > 0.0).then(|| 46.0 * square.sqrt() + nose(x, y))
}

fn nose(x: f64, y: f64) -> f64 {
    let (across, down) = ((x - MIDDLE) / 7.0, (y - 65.0) / 10.0);
    14.0 * (-across * across - down * down).exp()
}

/// Where a place (x, y), counted from the middle of the first pixel, of a face of `side` pixels goes by a turn of `yaw`
/// degrees: its new x. What is beside the face stays.
pub fn turned(x: f64, y: f64, yaw: f64, side: usize) -> f64 {
    let scale = SIDE / side as f64;
    let [x_there, y_there] = [x, y].map(|v| (v + 0.5) * scale - 0.5);
    match depth(x_there, y_there) {
        None => x,
        Some(z) => {
            let (sin, cos) = yaw.to_radians().sin_cos();
            (MIDDLE + (x_there - MIDDLE) * cos + z * sin + 0.5) / scale - 0.5
        }
    }
}

/// Turns a face of `width` x `height` pixels with `channels`, interleaved, by `yaw` degrees.
///
/// Row by row. A row is sampled `SAMPLES` times a pixel, linearly; between two neighbouring samples of the face lies a
/// span, and where spans cover each other the nearest counts. Spans that show their back are left out. Beside the face
/// nothing moves; where neither is seen, the row is filled linearly between what is seen on both sides.
pub fn turn(data: &mut [u8], width: usize, height: usize, channels: usize, yaw: f64) {
    if yaw == 0.0 {
        return;
    }
    let mut row = Row::new(width * SAMPLES, channels);
    for (y, line) in data.chunks_exact_mut(width * channels).enumerate() {
        let y_there = (y as f64 + 0.5) * SIDE / height as f64 - 0.5;
        row.turn(line, width, y_there, yaw);
    }
}

/// Scratch memory of one row.
struct Row {
    channels: usize,
    /// The samples, `channels` each.
    from: Vec<f64>,
    /// The same of the result.
    to: Vec<f64>,
    /// How near what is seen at each sample of the result is; none: nothing is seen.
    near: Vec<Option<f64>>,
    /// Where each sample of the face goes, in samples, and how near it is then.
    place: Vec<Option<(f64, f64)>>,
}

impl Row {
    fn new(count: usize, channels: usize) -> Self {
        Self {
            channels,
            from: vec![0.0; count * channels],
            to: vec![0.0; count * channels],
            near: vec![None; count],
            place: vec![None; count],
        }
    }

    fn turn(&mut self, line: &mut [u8], width: usize, y: f64, yaw: f64) {
        let (c, count) = (self.channels, self.near.len());
        let (sin, cos) = yaw.to_radians().sin_cos();
        let scale = SIDE / count as f64;
        for i in 0..count {
            let x = ((i as f64 + 0.5) / SAMPLES as f64 - 0.5).clamp(0.0, (width - 1) as f64);
            let left = (x.floor() as usize).min(width.saturating_sub(2));
            let right = (left + 1).min(width - 1);
            for k in 0..c {
                let (a, b) = (
                    f64::from(line[left * c + k]),
                    f64::from(line[right * c + k]),
                );
                self.from[i * c + k] = a + (b - a) * (x - left as f64);
            }
            let x = (i as f64 + 0.5) * scale - 0.5 - MIDDLE;
            self.place[i] = depth(x + MIDDLE, y).map(|z| {
                let there = MIDDLE + x * cos + z * sin;
                ((there + 0.5) / scale - 0.5, z * cos - x * sin)
            });
            // What is beside the face is behind it.
            self.near[i] = self.place[i].is_none().then_some(f64::NEG_INFINITY);
            let at = i * c..(i + 1) * c;
            self.to[at.clone()].copy_from_slice(&self.from[at]);
        }
        for i in 1..count {
            if let (Some(left), Some(right)) = (self.place[i - 1], self.place[i]) {
                self.span(i - 1, left, right);
            }
        }
        self.fill();
        for (x, out) in line.chunks_exact_mut(c).enumerate() {
            for (k, out) in out.iter_mut().enumerate() {
                let samples = (0..SAMPLES).map(|j| self.to[(x * SAMPLES + j) * c + k]);
                *out = (samples.sum::<f64>() / SAMPLES as f64 + 0.5).floor() as u8;
            }
        }
    }

    /// What lies between the samples `i` and `i + 1`, which go to these places.
    fn span(&mut self, i: usize, left: (f64, f64), right: (f64, f64)) {
        let (c, length) = (self.channels, right.0 - left.0);
        if length <= 0.0 {
            return;
        }
        let first = left.0.ceil().max(0.0) as usize;
        for j in first..self.near.len() {
            let share = (j as f64 - left.0) / length;
            if share > 1.0 {
                break;
            }
            let near = left.1 + (right.1 - left.1) * share;
            if self.near[j].is_none_or(|there| near > there) {
                self.near[j] = Some(near);
                for k in 0..c {
                    let (a, b) = (self.from[i * c + k], self.from[(i + 1) * c + k]);
                    self.to[j * c + k] = a + (b - a) * share;
                }
            }
        }
    }

    /// What is seen nowhere, linearly between what is seen beside it; at an end, as what is seen next to it.
    fn fill(&mut self) {
        let (c, count) = (self.channels, self.near.len());
        let mut j = 0;
        while j < count {
            if self.near[j].is_some() {
                j += 1;
                continue;
            }
            let end = (j..count)
                .find(|&n| self.near[n].is_some())
                .unwrap_or(count);
            let (before, after) = (j.checked_sub(1), (end < count).then_some(end));
            let (Some(left), Some(right)) = (before.or(after), after.or(before)) else {
                return; // nothing is seen in all of the row
            };
            for n in j..end {
                let share = (n + 1 - j) as f64 / (end + 1 - j) as f64;
                for k in 0..c {
                    let (a, b) = (self.to[left * c + k], self.to[right * c + k]);
                    self.to[n * c + k] = a + (b - a) * share;
                }
            }
            j = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(side: usize) -> Vec<u8> {
        let wave =
            |i: usize| 127.5 + 80.0 * ((i % side) as f64 * 0.21 + (i / side) as f64 * 0.13).sin();
        (0..side * side).map(|i| wave(i) as u8).collect()
    }

    #[test]
    fn no_turn_changes_nothing_and_a_plain_face_stays_plain() {
        let mut image = face(64);
        turn(&mut image, 64, 64, 1, 0.0);
        assert_eq!(image, face(64));
        let mut plain = vec![93; 64 * 64 * 3];
        turn(&mut plain, 64, 64, 3, 45.0);
        assert_eq!(
            plain,
            vec![93; 64 * 64 * 3],
            "holes and spans are of its neighbours' colour"
        );
    }

    #[test]
    fn a_turn_of_the_mirrored_face_is_the_mirrored_turn() {
        let side = 64;
        let mirrored = |image: &[u8]| -> Vec<u8> {
            image
                .chunks_exact(side)
                .flat_map(|row| row.iter().rev().copied())
                .collect()
        };
        let (mut right, mut left) = (face(side), mirrored(&face(side)));
        turn(&mut right, side, side, 1, 30.0);
        turn(&mut left, side, side, 1, -30.0);
        let far = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(far(&right, &mirrored(&left)) <= Some(1));
        assert!(far(&right, &face(side)) > Some(20), "it moves something");
    }

    #[test]
    fn the_nose_goes_farther_than_the_eyes_and_what_is_beside_the_face_stays() {
        let by = |x: f64, y: f64| turned(x, y, 45.0, 128) - x;
        assert!(by(63.5, 65.0) > by(63.5, 40.0) && by(63.5, 40.0) > 0.0);
        assert_eq!(by(5.0, 10.0), 0.0);
        // 60 deep at the tip of the nose, but for the slope of the ellipsoid there.
        let wanted = (46.0 * (1.0 - (4.0_f64 / 68.0).powi(2)).sqrt() + 14.0) * 0.5_f64.sqrt();
        assert!((by(63.5, 65.0) - wanted).abs() < 1e-9);
        // The same at half the size.
        assert!((2.0 * (turned(31.5, 32.25, 45.0, 64) - 31.5) - by(63.5, 65.0)).abs() < 1e-9);
    }
}
