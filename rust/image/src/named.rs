//! Enums whose values users name.

/// Declares an enum and, beside each variant, its name, or for one with a value each name and the value it stands for:
/// `Grey => "grey"`, `Square(usize) => "small"(64) | "large"(256)`. `NAMES` lists them in this order.
#[macro_export]
macro_rules! named {
    (
        $(#[$attribute:meta])*
        pub enum $type:ident {
            $(
                $(#[$doc:meta])*
                $variant:ident $(($field:ty))? => $($name:literal $(($value:expr))?)|+,
            )+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$doc])* $variant $(($field))?,)+
        }

        impl $type {
            /// All of them by the names that users give them.
            pub const NAMES: [(&'static str, Self); [$($($name,)+)+].len()] =
                [$($(($name, Self::$variant $(($value))?),)+)+];
        }
    };
}
