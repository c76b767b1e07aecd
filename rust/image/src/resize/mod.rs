//! One file a resize convention; each is exact against the tool it names.

pub mod pillow;
mod rgb;
pub mod tf1;

pub use pillow::Filter;
