//! What image files declare of themselves, with the hashes of their bytes; their pixels are not decoded.

use std::sync::Mutex;

use gantools_image::{inspect, Header, Mode};
use gantools_threads::parallel;

use crate::{hash_bytes, Item, Source};

/// An item as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// What it is.
    pub kind: Kind,
    /// The XXH3 of its bytes; of pixels, of their values.
    pub hash: u128,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An image file that declares this.
    File(Header),
    /// Pixels.
    Pixels {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Grey or RGB.
        mode: Mode,
        /// Whether the last channel is alpha.
        alpha: bool,
    },
}

/// Each of `items` in order, or why it cannot be read; None when the watcher asked to stop.
///
/// `watch` is called about ten times a second and stops the work by returning false.
pub fn inspect_all(
    source: &Source,
    items: &[usize],
    threads: usize,
    mut watch: impl FnMut() -> bool,
) -> Option<Vec<Result<Inspected, String>>> {
    let unread = || Mutex::new(Err(String::new()));
    let slots: Vec<_> = items.iter().map(|_| unread()).collect();
    let finished = parallel::for_each(
        items.len(),
        parallel::threads(threads),
        || (),
        |(), i| *slots[i].lock().expect("each slot is used once") = one(source, items[i]),
        |_| watch(),
    );
    let results = slots.into_iter().map(|slot| slot.into_inner());
    finished.then(|| results.map(|r| r.expect("no panic while held")).collect())
}

fn one(source: &Source, item: usize) -> Result<Inspected, String> {
    Ok(match source.read(item)? {
        Item::Raw(pixels) => Inspected {
            kind: Kind::Pixels {
                width: pixels.width,
                height: pixels.height,
                mode: if pixels.channels < 3 {
                    Mode::Grey
                } else {
                    Mode::Rgb
                },
                alpha: pixels.channels % 2 == 0,
            },
            hash: hash_bytes(&pixels.data),
        },
        Item::Encoded(data) => Inspected {
            kind: Kind::File(inspect(&data).map_err(|e| e.to_string())?),
            hash: hash_bytes(&data),
        },
    })
}

#[cfg(test)]
mod tests {
    use gantools_image::{encode_png, Format, Pixels};

    use super::*;

    #[test]
    fn files_pixels_and_faults_are_told_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let png = encode_png(&Pixels::new(3, 2, 4, vec![9; 24]).unwrap()).unwrap();
        std::fs::write(folder.path().join("a"), &png).unwrap();
        std::fs::write(folder.path().join("b"), b"text").unwrap();
        let files = Source::Files {
            root: folder.path().into(),
            names: ["a", "b", "gone"].map(Into::into).to_vec(),
        };
        for threads in [1, 2] {
            let found = inspect_all(&files, &[2, 0, 1], threads, || true).unwrap();
            assert!(found[0].as_ref().unwrap_err().starts_with("cannot be read"));
            let Inspected { kind, hash } = found[1].clone().unwrap();
            let Kind::File(header) = kind else {
                panic!("{kind:?}")
            };
            assert_eq!((header.width, header.height, header.alpha), (3, 2, true));
            assert_eq!((header.format, hash), (Format::Png, hash_bytes(&png)));
            assert!(found[2].as_ref().unwrap_err().contains("not an image"));
        }
        let array = |channels: usize| Source::Array {
            shape: [2, 3, channels],
            data: vec![7; 6 * channels],
        };
        for (channels, mode, alpha) in [
            (1, Mode::Grey, false),
            (2, Mode::Grey, true),
            (3, Mode::Rgb, false),
            (4, Mode::Rgb, true),
        ] {
            let found = inspect_all(&array(channels), &[0], 1, || true).unwrap();
            let (width, height) = (3, 2);
            let kind = Kind::Pixels {
                width,
                height,
                mode,
                alpha,
            };
            assert_eq!(found[0].as_ref().unwrap().kind, kind);
        }
    }

    #[test]
    fn the_watcher_can_stop_it() {
        let source = Source::Array {
            shape: [1, 1, 1],
            data: vec![0],
        };
        let items = vec![0; 5_000_000];
        assert_eq!(inspect_all(&source, &items, 1, || false), None);
    }
}
