//! One file a resize convention; each is exact against the tool it names.

mod fixed;
pub mod input;
mod lerp;
mod part;
pub mod pillow;
mod rgb;
mod tf1;
mod torch;
mod weighted;

pub use fixed::Filter;
pub use part::Square;
