//! Bytes to pixels: decode, orientation, colour, crop and resize. No Python and no files.
//!
//! Pixels are 8-bit, interleaved, row-major (HWC). Everything that can change a pixel is decided here, once, so that
//! preparation and scoring agree.

#[macro_use]
mod dispatch;
#[macro_use]
mod named;

mod colour;
mod crop;
mod decode;
pub mod degrade;
mod effect;
mod encode;
mod error;
mod formats;
mod inspect;
mod noise;
mod orientation;
#[cfg(target_arch = "x86_64")]
pub mod permute;
mod pixels;
mod policy;
mod region;
pub mod resize;
mod shown;
mod turn;

pub use colour::AlphaPolicy;
pub use crop::{Crop, Placement};
pub use decode::{DecodeOptions, Decoder, DECODERS, DEFAULT_MAX_PIXELS};
pub use effect::{Effect, Half};
pub use encode::{encode_jpeg, encode_png};
pub use error::ImageError;
pub use formats::depth::SixteenBit;
pub use formats::Format;
pub use inspect::{inspect, Header, Mode};
pub use noise::add_noise;
pub use orientation::OrientationPolicy;
pub use pixels::{Pixels, Rect};
pub use policy::{PixelPolicy, Preparer, FAST_MARGIN};
pub use region::Region;
pub use resize::Filter;
pub use turn::{turn, turned};
