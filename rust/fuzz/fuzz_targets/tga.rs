//! TGA.

#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| common::prepare(input, b"\0\0\x0a\0\0\0\0\0"));
