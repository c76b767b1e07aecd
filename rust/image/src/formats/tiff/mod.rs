//! TIFF: grey and colour tables of 1 to 8 bits, grey, RGB and CMYK of 8 or 16, each with further samples, in strips or
//! tiles, pixels or planes; of several pages the first. Stored plainly or by PackBits, LZW, Deflate or CCITT group 4.

mod chunks;
mod directory;

use std::borrow::Cow;

use super::depth::{self, SixteenBit};
use super::{damaged, Deep, Format, Limit, Raw};
use crate::colour::adobe_cmyk_to_rgb;
use crate::orientation;
use crate::{Header, ImageError, Mode, Pixels};
use chunks::{sum_differences, Compression};
use directory::{tag, Directory};

/// What the samples of a pixel are, and the first of those beyond its colours: tag ExtraSamples of the TIFF 6.0
/// specification.
#[derive(Clone, Copy, PartialEq)]
enum Extra {
    /// There is none, or it is no transparency.
    None,
    /// The colours are multiplied with it.
    Associated,
    /// The colours stand by themselves.
    Unassociated,
}

/// How samples are stored.
struct Layout {
    width: usize,
    height: usize,
    mode: Mode,
    /// Whether 0 is white.
    inverted: bool,
    bits: usize,
    /// Samples of a pixel in the file.
    samples: usize,
    /// Those of them that are kept, the first ones: colours and alpha.
    kept: usize,
    extra: Extra,
    planar: bool,
    /// Width and height of a strip or tile.
    chunk: (usize, usize),
    tiled: bool,
    compression: Compression,
    /// Whether differences are stored.
    differences: bool,
    /// Whether the first pixel of a byte is in its lowest bit.
    reversed: bool,
}

fn unsupported<T>(what: impl std::fmt::Display) -> Result<T, ImageError> {
    Err(ImageError::Unsupported(format!("TIFF: {what}")))
}

impl Layout {
    fn of(directory: &Directory, limit: Limit) -> Result<Self, ImageError> {
        let required = |tag, name: &str| match directory.first(tag)? {
            Some(value) => Ok(value),
            None => Err(damaged("TIFF", format!("it does not say its {name}"))),
        };
        let (width, height) = (
            required(tag::WIDTH, "width")?,
            required(tag::HEIGHT, "height")?,
        );
        let (width, height) = limit.check(width, height)?;
        let or = |tag, default| Ok::<u64, ImageError>(directory.first(tag)?.unwrap_or(default));

        let (mode, colours, inverted) = match required(tag::PHOTOMETRIC, "colours")? {
            n @ (0 | 1) => (Mode::Grey, 1, n == 0),
            2 => (Mode::Rgb, 3, false),
            3 => (Mode::Palette, 1, false),
            5 => (Mode::Cmyk, 4, false),
            4 => return unsupported("a mask"),
            6 => return unsupported("YCbCr colours"),
            8..=10 => return unsupported("Lab colours"),
            n => return unsupported(format!("colours of kind {n}")),
        };
        if directory
            .numbers(tag::SAMPLE_FORMAT)?
            .iter()
            .any(|&f| f != 1)
        {
            return unsupported("samples that are no unsigned integers");
        }
        let samples = or(tag::SAMPLES, 1)? as usize;
        let stored_bits = match &directory.numbers(tag::BITS)?[..] {
            [] => 1,
            [first, rest @ ..] if rest.iter().all(|b| b == first) => *first,
            mixed => return unsupported(format!("samples of {mixed:?} bits")),
        };
        let further = match samples.checked_sub(colours) {
            Some(further) if further <= 16 => further,
            Some(_) => return unsupported(format!("{samples} samples a pixel")),
            None => {
                let words = format!("{samples} samples are too few for its colours");
                return Err(damaged("TIFF", words));
            }
        };
        let mut kinds = directory.numbers(tag::EXTRA_SAMPLES)?;
        if kinds.is_empty() && further == 1 && mode != Mode::Cmyk {
            kinds = vec![2]; // many writers of alpha leave the tag out
        }
        if kinds.len() != further {
            let words = format!(
                "{further} samples beside the colours, {} explained",
                kinds.len()
            );
            return unsupported(words);
        }
        let extra = match (mode, &kinds[..]) {
            (_, []) => Extra::None,
            (_, [first @ .., last]) if first.iter().chain([last]).all(|&k| k == 0) => Extra::None,
            (Mode::Rgb, [1, rest @ ..]) if rest.iter().all(|&k| k == 0) => Extra::Associated,
            // 999 is what Corel Draw writes.
            (Mode::Rgb | Mode::Grey | Mode::Palette, [2 | 999, rest @ ..])
                if rest.iter().all(|&k| k == 0) =>
            {
                Extra::Unassociated
            }
            _ => return unsupported(format!("{mode:?} with extra samples {kinds:?}")),
        };
        let bits = match (mode, stored_bits, samples) {
            (Mode::Grey | Mode::Palette, 1 | 2 | 4, 1) => stored_bits,
            (_, 8, _) | (Mode::Grey | Mode::Rgb | Mode::Cmyk, 16, _) => stored_bits,
            _ => return unsupported(format!("{mode:?} of {stored_bits} bits")),
        };
        let planar = match or(tag::PLANAR, 1)? {
            1 => false,
            2 => samples > 1,
            n => return unsupported(format!("planar configuration {n}")),
        };
        let compression = match Compression::of(or(tag::COMPRESSION, 1)?) {
            Ok(Compression::Fax4) if (bits, samples) != (1, 1) => {
                return unsupported("CCITT group 4 of more than one bit")
            }
            Ok(compression) => compression,
            Err(name) => return unsupported(format!("compression {name}")),
        };
        let differences = match or(tag::PREDICTOR, 1)? {
            _ if !compression.predicts() => false,
            1 => false,
            2 if bits >= 8 => true,
            2 => return unsupported(format!("differences of {bits} bits")),
            n => return unsupported(format!("predictor {n}")),
        };
        let tiled = directory.first(tag::TILE_WIDTH)?.is_some();
        let chunk = match tiled {
            true => (
                required(tag::TILE_WIDTH, "tiles' width")?,
                required(tag::TILE_HEIGHT, "tiles' height")?,
            ),
            false => (
                width as u64,
                or(tag::ROWS_PER_STRIP, u64::MAX)?.min(height as u64),
            ),
        };
        Ok(Self {
            width,
            height,
            mode,
            inverted,
            bits: bits as usize,
            samples,
            kept: colours + usize::from(extra != Extra::None),
            extra,
            planar,
            // A tile is no larger than an image may be.
            chunk: limit.check(chunk.0, chunk.1)?,
            tiled,
            compression,
            differences,
            reversed: match or(tag::FILL_ORDER, 1)? {
                1 => false,
                2 => true,
                n => return unsupported(format!("fill order {n}")),
            },
        })
    }

    /// All strips or tiles, unpacked and put where they belong: `kept` samples a pixel.
    fn read<T: Copy + Default>(
        &self,
        data: &[u8],
        directory: &Directory,
        samples_of: impl Fn(&[u8], usize) -> Vec<T>,
        add: impl Fn(T, T) -> T,
    ) -> Result<Vec<T>, ImageError> {
        let (offsets, lengths) = match self.tiled {
            true => (tag::TILE_OFFSETS, tag::TILE_LENGTHS),
            false => (tag::STRIP_OFFSETS, tag::STRIP_LENGTHS),
        };
        // Old writers put the places of tiles where those of strips belong.
        let or_strips = |numbers: Vec<u64>, tag| match numbers.is_empty() {
            true => directory.numbers(tag),
            false => Ok(numbers),
        };
        let offsets = or_strips(directory.numbers(offsets)?, tag::STRIP_OFFSETS)?;
        let lengths = or_strips(directory.numbers(lengths)?, tag::STRIP_LENGTHS)?;
        let across = self.width.div_ceil(self.chunk.0);
        let down = self.height.div_ceil(self.chunk.1);
        let (planes, each) = match self.planar {
            true => (self.samples, 1),
            false => (1, self.samples),
        };
        if offsets.len() < across * down * planes {
            return Err(damaged("TIFF", "it has too few strips or tiles"));
        }
        let mut canvas = vec![T::default(); self.width * self.height * self.kept];
        for (number, &offset) in offsets[..across * down * planes].iter().enumerate() {
            let (plane, place) = (number / (across * down), number % (across * down));
            if plane >= self.kept {
                break;
            }
            let (x, y) = (place % across * self.chunk.0, place / across * self.chunk.1);
            let rows = self.chunk.1.min(self.height - y);
            // The last strip is short, a tile never is.
            let stored_rows = if self.tiled { self.chunk.1 } else { rows };
            let row = (self.chunk.0 * each * self.bits).div_ceil(8);
            let packed = self.packed(
                data,
                offset,
                lengths.get(number).copied(),
                row * stored_rows,
            );
            let bytes = (self.compression).unpack(packed?, row * stored_rows, self.chunk.0)?;
            let mut samples = samples_of(&bytes[..row * rows], row);
            let length = self.chunk.0 * each;
            if self.differences {
                sum_differences(&mut samples, length, each, &add);
            }
            let columns = self.chunk.0.min(self.width - x);
            for (i, from) in samples.chunks_exact(length).enumerate() {
                let to =
                    &mut canvas[((y + i) * self.width + x) * self.kept..][..columns * self.kept];
                if self.planar {
                    let to = to[plane..].iter_mut().step_by(self.kept);
                    to.zip(from).for_each(|(to, &from)| *to = from);
                } else {
                    let to = to.chunks_exact_mut(self.kept);
                    let pixels = to.zip(from.chunks_exact(each));
                    pixels.for_each(|(to, from)| to.copy_from_slice(&from[..self.kept]));
                }
            }
        }
        Ok(canvas)
    }

    /// The bytes of one strip or tile in the file, its bits in order.
    fn packed<'a>(
        &self,
        data: &'a [u8],
        offset: u64,
        length: Option<u64>,
        need: usize,
    ) -> Result<Cow<'a, [u8]>, ImageError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = data.get(start..).unwrap_or(&[]);
        let length = match (self.compression, length) {
            // As long as it has to be, whatever the file says.
            (Compression::None, _) => need,
            (_, Some(length)) => usize::try_from(length).unwrap_or(usize::MAX),
            (_, None) => usize::MAX,
        };
        if rest.is_empty() {
            return Err(damaged("TIFF", "a strip or tile lies outside of the file"));
        }
        let stored = &rest[..length.min(rest.len())];
        Ok(match self.reversed {
            true => stored.iter().map(|b| b.reverse_bits()).collect(),
            false => stored.into(),
        })
    }

    /// What the samples of a row stand in: one byte or two each.
    fn unpack_bits(&self, bytes: &[u8], row: usize) -> Vec<u8> {
        if self.bits == 8 {
            return bytes.to_vec();
        }
        let largest = (1u8 << self.bits) - 1;
        let unpacked = bytes.chunks_exact(row).flat_map(|bytes| {
            (0..self.chunk.0).map(move |x| {
                let at = x * self.bits;
                (bytes[at / 8] >> (8 - self.bits - at % 8)) & largest
            })
        });
        unpacked.collect()
    }
}

/// What the file declares of itself.
pub(super) fn header(data: &[u8]) -> Result<Header, ImageError> {
    let directory = Directory::of(data)?;
    let layout = Layout::of(&directory, Limit(u64::MAX >> 8))?;
    Ok(Header {
        format: Format::Tiff,
        width: layout.width as u64,
        height: layout.height as u64,
        mode: layout.mode,
        bits: layout.bits as u8,
        alpha: layout.extra != Extra::None,
        orientation: orientation_of(&directory)?,
    })
}

/// Its own tag, else what its XMP data say.
fn orientation_of(directory: &Directory) -> Result<u8, ImageError> {
    Ok(match directory.first(tag::ORIENTATION)? {
        Some(value @ 1..=8) => value as u8,
        Some(_) => 1,
        None => directory
            .bytes(tag::XMP)
            .and_then(orientation::in_xmp)
            .unwrap_or(1),
    })
}

pub(super) fn decode(data: &[u8], limit: Limit, sixteen: SixteenBit) -> Result<Deep, ImageError> {
    let directory = Directory::of(data)?;
    let layout = Layout::of(&directory, limit)?;
    let mut largest = None;
    let mut samples = if layout.bits == 16 {
        let word = match directory.big_endian {
            true => u16::from_be_bytes,
            false => u16::from_le_bytes,
        };
        let words = |bytes: &[u8], _| bytes.as_chunks().0.iter().map(|&b| word(b)).collect();
        let mut words = layout.read(data, &directory, words, u16::wrapping_add)?;
        if layout.inverted {
            invert(&mut words, layout.kept, layout.extra, |v| u16::MAX - v);
        }
        // Inks are a share of full, not of a range.
        let sixteen = match layout.mode {
            Mode::Cmyk => SixteenBit::Full,
            _ => sixteen,
        };
        let alpha = layout.extra != Extra::None;
        let shallow = depth::to_bytes(words.iter().copied(), layout.kept, alpha, sixteen);
        largest = Some(shallow.largest);
        shallow.samples
    } else {
        let unpack = |bytes: &[u8], row| layout.unpack_bits(bytes, row);
        let mut samples = layout.read(data, &directory, unpack, u8::wrapping_add)?;
        if layout.mode == Mode::Grey {
            let scale = 255 / (u8::MAX >> (8 - layout.bits));
            samples.iter_mut().for_each(|v| *v *= scale);
        }
        if layout.inverted {
            invert(&mut samples, layout.kept, layout.extra, |v| u8::MAX - v);
        }
        samples
    };
    let mut channels = layout.kept;
    match layout.mode {
        Mode::Cmyk => {
            samples.iter_mut().for_each(|v| *v = 255 - *v);
            (channels, samples) = (3, adobe_cmyk_to_rgb(&samples));
        }
        Mode::Palette => {
            let table = colour_table(&directory, layout.bits)?;
            let coloured = samples.chunks_exact(channels).flat_map(|px| {
                let [r, g, b] = table[usize::from(px[0])];
                [Some(r), Some(g), Some(b), px.get(1).copied()]
            });
            samples = coloured.flatten().collect();
            channels += 2;
        }
        _ if layout.extra == Extra::Associated => {
            samples.as_chunks_mut().0.iter_mut().for_each(divide_alpha);
        }
        _ => {}
    }
    let raw = Raw {
        pixels: Pixels::new(layout.width, layout.height, channels, samples)?,
        orientation: orientation_of(&directory)?,
    };
    Ok(Deep { raw, largest })
}

/// Turns black and white around, alpha apart.
fn invert<T: Copy>(samples: &mut [T], kept: usize, extra: Extra, other: impl Fn(T) -> T) {
    let colours = kept - usize::from(extra != Extra::None);
    for pixel in samples.chunks_exact_mut(kept) {
        pixel[..colours].iter_mut().for_each(|v| *v = other(*v));
    }
}

/// The high bytes of a colour table, which is stored as planes; what the file leaves out is black.
fn colour_table(directory: &Directory, bits: usize) -> Result<[[u8; 3]; 256], ImageError> {
    let stored = directory.numbers(tag::COLOUR_TABLE)?;
    let length = 1 << bits;
    if stored.len() < 3 * length {
        return Err(damaged("TIFF", "its colour table is too short"));
    }
    let mut table = [[0; 3]; 256];
    for (i, colour) in table[..length].iter_mut().enumerate() {
        *colour = [0, 1, 2].map(|c| (stored[c * length + i] >> 8) as u8);
    }
    Ok(table)
}

/// Takes the multiplication with alpha back, in Pillow's integer arithmetic (`RGBa`): rounded down, clipped.
fn divide_alpha(px: &mut [u8; 4]) {
    let alpha = u32::from(px[3]);
    for v in &mut px[..3] {
        *v = (u32::from(*v) * 255)
            .checked_div(alpha)
            .map_or(0, |v| v.min(255) as u8);
    }
}
