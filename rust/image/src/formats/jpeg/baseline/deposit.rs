//! Bits spread to the places of other bits.

/// Bits put to places.
pub(super) trait Deposit {
    /// The lowest bits of `bits`, one after the other, at the places of the bits of `mask`.
    fn deposit(bits: u64, mask: u64) -> u64;
}

pub(super) struct Plain;

impl Deposit for Plain {
    #[inline(always)]
    fn deposit(mut bits: u64, mut mask: u64) -> u64 {
        let mut all = 0;
        while mask != 0 && bits != 0 {
            let place = mask & mask.wrapping_neg();
            all |= place & (bits & 1).wrapping_neg();
            bits >>= 1;
            mask ^= place;
        }
        all
    }
}

/// By an instruction of BMI2. Only for code that is compiled for it, and that runs where it is.
#[cfg(target_arch = "x86_64")]
pub(super) struct Bmi2;

#[cfg(target_arch = "x86_64")]
impl Deposit for Bmi2 {
    #[inline(always)]
    fn deposit(bits: u64, mask: u64) -> u64 {
        // SAFETY: the processor has this instruction, as said above.
        unsafe { std::arch::x86_64::_pdep_u64(bits, mask) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_deposited_the_same_with_and_without_the_instruction() {
        assert_eq!(Plain::deposit(0b1011, 0b1011_0110), 0b0010_0110);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("bmi2") {
            let mut v = 1_u64;
            for _ in 0..1000 {
                v = v.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(99);
                let (bits, mask) = (v.rotate_left(17), v & v.rotate_left(31));
                assert_eq!(Plain::deposit(bits, mask), Bmi2::deposit(bits, mask));
            }
        }
    }
}
