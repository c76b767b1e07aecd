//! PNM.

#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| common::prepare(input, b"P6\n"));
