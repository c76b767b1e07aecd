//! Huffman codes of JPEG (ITU-T T.81, annex F.2.2): in baseline two coefficients a look-up where their codes are short.

/// Bits that the table of AC codes is looked up with.
const PEEK: u32 = 12;

/// Bits that one code word is looked up with.
const SHORT: u32 = 9;

/// Where a coefficient goes that no one asks for: behind the block.
pub(super) const NOWHERE: u8 = 127;

/// Coefficients of one block in the order of its transform; the upper half takes what is not wanted.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Block(pub(super) [i16; 128]);

impl Block {
    /// Those that are wanted.
    #[inline(always)]
    pub(super) fn coefficients(&self) -> &[i16; 64] {
        self.0.first_chunk().expect("it is longer")
    }
}

/// For the n-th coefficient in zigzag order its place in [`Block`]; from 64 on [`NOWHERE`].
pub(super) type Slots = [u8; 128];

/// The code words of one table.
pub(super) struct Codes {
    /// For everything that [`SHORT`] bits can be: `length << 8 | symbol` of their first code word, 0 if that is longer.
    short: [u16; 1 << SHORT],
    /// For a length, one more than its last code word, left-aligned in 16 bits.
    limits: [u32; 17],
    /// What is added to a code word of a length for the index of its symbol.
    offsets: [i32; 17],
    symbols: [u8; 256],
}

impl Codes {
    /// From a table as stored; None if its code words do not fit their lengths.
    pub(super) fn new(table: &[u8]) -> Option<Self> {
        let (counts, values) = table.split_first_chunk::<16>()?;
        let mut codes = Self {
            short: [0; 1 << SHORT],
            limits: [0; 17],
            offsets: [0; 17],
            symbols: [0; 256],
        };
        codes
            .symbols
            .get_mut(..values.len())?
            .copy_from_slice(values);
        let (mut code, mut index) = (0, 0);
        for length in 1..=16 {
            let count = i32::from(counts[length - 1]);
            codes.offsets[length] = index - code;
            code += count;
            index += count;
            if code > 1 << length {
                return None;
            }
            codes.limits[length] = (code as u32) << (16 - length);
            code <<= 1;
        }
        let short = codes.spread(SHORT);
        codes.short.copy_from_slice(&short);
        (index as usize == values.len()).then_some(codes)
    }

    /// Itself if no symbol is greater than `most`.
    pub(super) fn with_symbols_up_to(self, most: u8) -> Option<Self> {
        self.symbols.iter().all(|&s| s <= most).then_some(self)
    }

    /// Length and symbol of the code word that `bits`, sixteen of them, begin with.
    #[inline(always)]
    fn find(&self, bits: u32) -> Option<(u32, u8)> {
        match self.short[(bits >> (16 - SHORT)) as usize] {
            0 => self.search(bits),
            found => Some((u32::from(found >> 8), found as u8)),
        }
    }

    /// As `find`, for any length.
    fn search(&self, bits: u32) -> Option<(u32, u8)> {
        let length = (1..=16).find(|&n| bits < self.limits[n])?;
        let code = (bits >> (16 - length)) as i32;
        Some((
            length as u32,
            self.symbols[(code + self.offsets[length]) as usize],
        ))
    }

    /// For everything that `peek` bits can be: `length << 8 | symbol` of its first code word, 0 if that is longer.
    fn spread(&self, peek: u32) -> Vec<u16> {
        let mut table = vec![0; 1 << peek];
        let mut from = 0;
        for length in 1..=peek {
            let limit = self.limits[length as usize] >> (16 - peek);
            for bits in from..limit {
                let code = (bits >> (peek - length)) as i32;
                let symbol = self.symbols[(code + self.offsets[length as usize]) as usize];
                table[bits as usize] = (length as u16) << 8 | u16::from(symbol);
            }
            from = from.max(limit);
        }
        table
    }
}

/// The number that `size` bits (0 to 15) stand for (T.81, F.2.2.1, EXTEND).
#[inline(always)]
fn extend(bits: u32, size: u32) -> i32 {
    let negative = bits << 1 >> size == 0;
    bits as i32 - if negative { (1 << size) - 1 } else { 0 }
}

/// A table of DC codes.
pub(super) struct DcTable(Codes);

impl DcTable {
    pub(super) fn new(table: &[u8]) -> Option<Self> {
        // No difference has more than 15 bits.
        Some(Self(Codes::new(table)?.with_symbols_up_to(15)?))
    }
}

/// What the next bits hold, packed, for a small table stays in the nearest cache. From the low end:
///
/// - 6 bits: how many bits that takes;
/// - 7: how many coefficients it advances, plus [`END`]; or [`LONG`];
/// - 4: the zeros before the first value;
/// - 7: the second value, the last of the coefficients that it advances; 0 if there is only one;
/// - 8: the first value. It is stored after the second: in the same place if there is only one.
#[derive(Clone, Copy)]
struct Entry(u32);

/// The block ends behind the values.
const END: u32 = 64;
/// The first code with its value does not fit.
const LONG: Entry = Entry(127 << 6);

/// One AC code with its value.
#[derive(Clone, Copy)]
struct One {
    bits: u32,
    /// The zeros before the value; [`END`] for the end of the block.
    run: u32,
    value: i32,
}

impl Entry {
    fn new(bits: u32, advance: u32, run: u32, values: [i32; 2]) -> Self {
        let [first, second] = values;
        Self(bits | advance << 6 | run << 13 | (second as u32 & 127) << 17 | (first as u32) << 24)
    }

    /// What `bits` begin with, where `next(used)` is the code behind so many of them.
    fn of(next: impl Fn(u32) -> Option<One>) -> Self {
        let ends = |used| next(used).filter(|code| code.run == END);
        let Some(a) = next(0) else { return LONG };
        if a.run == END {
            // One zero, where one is still.
            return Self::new(a.bits, END + 1, 0, [0, 0]);
        }
        if i8::try_from(a.value).is_err() {
            return LONG;
        }
        let second = next(a.bits).filter(|b| b.run != END && (-64..64).contains(&b.value));
        let (used, advance, value) = match second {
            Some(b) => (a.bits + b.bits, a.run + b.run + 2, b.value),
            None => (a.bits, a.run + 1, 0),
        };
        match ends(used) {
            Some(end) => Self::new(used + end.bits, advance + END, a.run, [a.value, value]),
            None => Self::new(used, advance, a.run, [a.value, value]),
        }
    }

    #[inline(always)]
    fn bits(self) -> u32 {
        self.0 & 63
    }

    #[inline(always)]
    fn advance(self) -> usize {
        (self.0 >> 6 & 127) as usize
    }

    #[inline(always)]
    fn run(self) -> usize {
        (self.0 >> 13 & 15) as usize
    }

    #[inline(always)]
    fn values(self) -> [i16; 2] {
        [self.0 as i32 >> 24, (self.0 << 8) as i32 >> 25].map(|v| v as i16)
    }
}

/// A table of AC codes.
pub(super) struct AcTable {
    fast: Box<[Entry; 1 << PEEK]>,
    long: Codes,
}

impl AcTable {
    pub(super) fn new(table: &[u8]) -> Option<Self> {
        let codes = Codes::new(table)?;
        let ones: Vec<Option<One>> = (0..)
            .zip(codes.spread(PEEK))
            .map(|(bits, found)| one(bits, found))
            .collect();
        let entries = (0..1 << PEEK).map(|bits: u32| {
            Entry::of(|used| {
                let rest = bits << used & ((1 << PEEK) - 1);
                ones[rest as usize].filter(|code| used + code.bits <= PEEK)
            })
        });
        Some(Self {
            fast: entries.collect::<Box<[Entry]>>().try_into().ok()?,
            long: codes,
        })
    }
}

/// The code that [`PEEK`] bits begin with, where `found` is its `length << 8 | symbol`, if it is in them with its value.
fn one(bits: u32, found: u16) -> Option<One> {
    let (length, symbol) = (u32::from(found >> 8), u32::from(found & 255));
    let (run, size) = (symbol >> 4, symbol & 15);
    let all = length + size;
    (length > 0 && all <= PEEK).then(|| One {
        bits: all,
        run: if size == 0 && run < 15 { END } else { run },
        value: extend(bits >> (PEEK - all) & ((1 << size) - 1), size),
    })
}

/// Reads bits, the highest of each byte first.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// The byte that follows the buffered ones.
    at: usize,
    /// The next bits, from the highest down.
    buffer: u64,
    /// How many of them are counted: at most 63. More may be there.
    count: u32,
}

impl<'a> Bits<'a> {
    /// `data` has to go on for eight bytes behind the last that is meant; they may be read, and what they give is for
    /// the caller to refuse, by [`Bits::position`].
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            buffer: 0,
            count: 0,
        }
    }

    /// Bits taken since the beginning of the data.
    pub(super) fn position(&self) -> usize {
        self.at * 8 - self.count as usize
    }

    /// Goes on with the byte at `at`.
    pub(super) fn jump(&mut self, at: usize) {
        (self.at, self.buffer, self.count) = (at, 0, 0);
    }

    /// At least 56 bits into the buffer; None where the data ends.
    #[inline(always)]
    fn refill(&mut self) -> Option<()> {
        let next = self.data.get(self.at..)?.first_chunk()?;
        self.buffer |= u64::from_be_bytes(*next) >> self.count;
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
        Some(())
    }

    #[inline(always)]
    fn peek(&self, n: u32) -> u32 {
        (self.buffer >> (64 - n)) as u32
    }

    #[inline(always)]
    fn skip(&mut self, n: u32) {
        self.buffer <<= n;
        self.count -= n;
    }

    /// Makes ready for at least 56 bits to be taken, and takes the code word of a symbol; None for what is no code, and
    /// where the data end.
    #[inline(always)]
    pub(super) fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        self.refill()?;
        let (length, symbol) = codes.find(self.peek(16))?;
        self.skip(length);
        Some(symbol)
    }

    /// Takes `n` bits, 0 to 15 of those that are ready.
    #[inline(always)]
    pub(super) fn take(&mut self, n: u32) -> u32 {
        let bits = (self.buffer >> 1 >> (63 - n)) as u32;
        self.skip(n);
        bits
    }

    /// Takes `n` bits, up to 56, which become the upper ones of the number; what is below them is of no meaning.
    #[inline(always)]
    pub(super) fn take_many(&mut self, n: u32) -> Option<u64> {
        self.refill()?;
        let bits = self.buffer;
        self.skip(n);
        Some(bits)
    }

    /// The signed number of `size` bits, 0 to 15.
    #[inline(always)]
    pub(super) fn number(&mut self, size: u32) -> i32 {
        // No shift by 64 where there are none.
        let bits = (self.buffer >> 1 >> (63 - size)) as u32;
        self.skip(size);
        extend(bits, size)
    }

    /// The coefficients of one block into `block`, which is all 0; `dc` is its DC value before and after. None for what
    /// is no code, too many coefficients, or a DC value beyond 16 bits.
    #[inline(always)]
    pub(super) fn block(
        &mut self,
        tables: (&DcTable, &AcTable),
        slots: &Slots,
        dc: &mut i32,
        block: &mut Block,
    ) -> Option<()> {
        // By value, so that the state stays in registers.
        *self = self.after_block(tables, slots, dc, block)?;
        Some(())
    }

    #[inline(always)]
    fn after_block(
        mut self,
        tables: (&DcTable, &AcTable),
        slots: &Slots,
        dc: &mut i32,
        block: &mut Block,
    ) -> Option<Self> {
        let (dc_table, ac_table) = tables;
        self.refill()?;
        let (length, size) = dc_table.0.find(self.peek(16))?;
        self.skip(length);
        *dc += self.number(u32::from(size));
        block.0[usize::from(slots[0])] = i16::try_from(*dc).ok()?;

        let mut last = 0;
        loop {
            self.refill()?;
            // As often as the buffer lasts.
            for _ in 0..56 / PEEK {
                let entry = ac_table.fast[self.peek(PEEK) as usize];
                let next = last + entry.advance();
                let [first, second] = entry.values();
                let mut put =
                    |at: usize, value| block.0[usize::from(slots[at & 127] & 127)] = value;
                put(last + (entry.advance() & 63), second);
                put(last + 1 + entry.run(), first);
                if next < 63 {
                    self.skip(entry.bits());
                    last = next;
                    continue;
                }
                // An end of block that is this block's; or the last coefficient.
                let ends = entry.advance() & END as usize != 0 && next < 63 + END as usize;
                if ends || next == 63 {
                    self.skip(entry.bits());
                    return Some(self);
                }
                // A long code; or the second one belongs to the next block already: the first by itself.
                (self, last) = self.long(ac_table, slots, last, block)?;
                if last == 63 {
                    return Some(self);
                }
                break;
            }
        }
    }

    /// One AC code and its value, whatever its length; what follows, and the last coefficient so far, 63 at the end of
    /// the block.
    #[inline(never)]
    fn long(
        mut self,
        table: &AcTable,
        slots: &Slots,
        last: usize,
        block: &mut Block,
    ) -> Option<(Self, usize)> {
        self.refill()?;
        let (length, symbol) = table.long.find(self.peek(16))?;
        self.skip(length);
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 && run != 15 {
            return Some((self, 63));
        }
        let value = self.number(size);
        let at = last + 1 + run;
        if at > 63 {
            return None;
        }
        block.0[usize::from(slots[at] & 127)] = value as i16;
        Some((self, at))
    }
}
