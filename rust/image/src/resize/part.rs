//! The part of an image that becomes a square.

use crate::{Pixels, Rect};

named! {
    /// What an image that is not square loses.
    pub enum Square {
        /// Its proportions: it is squeezed.
        Squeeze => "none",
        /// What lies outside its largest centred square; an odd pixel more at the right or at the bottom.
        Center => "center",
    }
}

impl Square {
    /// What of `image` is kept.
    pub(super) fn part(self, image: &Pixels) -> Rect {
        let whole = Rect::of(image);
        match self {
            Self::Squeeze => whole,
            Self::Center => {
                let side = whole.width.min(whole.height);
                Rect {
                    x: (whole.width - side) / 2,
                    y: (whole.height - side) / 2,
                    width: side,
                    height: side,
                }
            }
        }
    }
}
