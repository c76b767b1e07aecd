//! One file a resize convention; each is exact against the tool it names.

pub mod input;
mod lerp;
pub mod pillow;
mod rgb;
mod tf1;
mod torch;
mod weighted;

pub use pillow::Filter;
