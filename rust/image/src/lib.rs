//! Bytes to pixels: decode, orientation, colour, crop and resize. No Python and no files.
//!
//! Pixels are 8-bit, interleaved, row-major (HWC). Everything that can change a pixel is decided here, once, so that
//! preparation and scoring agree.

mod encode;
mod error;
mod pixels;

pub use encode::encode_png;
pub use error::ImageError;
pub use pixels::Pixels;
