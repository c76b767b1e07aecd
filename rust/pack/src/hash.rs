//! XXH3, the hash of every file of a prepared set. It guards against damage, not against an attacker.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

/// The 64-bit XXH3 hash of a file, as 16 hexadecimal digits.
pub fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex64(&hasher)),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// The 128-bit XXH3 hash of bytes in memory.
pub fn hash_bytes(data: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(data)
}

pub(crate) fn hex64(hasher: &Xxh3) -> String {
    format!("{:016x}", hasher.digest())
}

/// A 128-bit XXH3 hash over a list of fields; each is preceded by its length, so that no two lists look alike.
#[derive(Default)]
pub struct Fingerprint(Xxh3);

impl Fingerprint {
    /// Adds one field.
    pub fn add(&mut self, field: &[u8]) {
        self.0.update(&(field.len() as u64).to_le_bytes());
        self.0.update(field);
    }

    /// 32 hexadecimal digits.
    pub fn hex(&self) -> String {
        format!("{:032x}", self.0.digest128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_published_hash_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, b"").unwrap();
        // XXH3_64bits of nothing with seed 0, from the xxHash test vectors.
        assert_eq!(hash_file(&path).unwrap(), "2d06800538d394c2");
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let of = |fields: &[&[u8]]| {
            let mut f = Fingerprint::default();
            fields.iter().for_each(|x| f.add(x));
            f.hex()
        };
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_eq!(of(&[b"ab"]), of(&[b"ab"]));
    }
}
