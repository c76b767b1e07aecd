//! What can be wrong with an image, said so that a user can act on it.

/// Why an image could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The bytes are of no format that is read here.
    #[error("not an image ({0})")]
    NotAnImage(String),
    /// The format is known, the variant is not read.
    #[error("unsupported {0}")]
    Unsupported(String),
    /// The file ends early or its data are inconsistent.
    #[error("damaged {format}: {reason}")]
    Damaged {
        /// The name of the format.
        format: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// Its header declares more pixels than the limit.
    #[error("too large: {width}x{height} is more than {limit} pixels")]
    TooLarge {
        /// Declared width.
        width: u64,
        /// Declared height.
        height: u64,
        /// The limit on width times height.
        limit: u64,
    },
    /// It has transparency and the policy is to refuse that.
    #[error("has transparency; choose --alpha drop, white or black")]
    HasAlpha,
    /// The request does not fit the image: an empty crop, a size of zero.
    #[error("{0}")]
    Geometry(String),
}

impl ImageError {
    /// The class of the reason, whose name stays the same whatever the words: `not-an-image`, `unsupported`, `damaged`,
    /// `too-large`, `transparent` or `does-not-fit`.
    pub fn class(&self) -> &'static str {
        match self {
            Self::NotAnImage(_) => "not-an-image",
            Self::Unsupported(_) => "unsupported",
            Self::Damaged { .. } => "damaged",
            Self::TooLarge { .. } => "too-large",
            Self::HasAlpha => "transparent",
            Self::Geometry(_) => "does-not-fit",
        }
    }
}
