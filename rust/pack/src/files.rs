//! Opening files that may be anything: only regular ones are read.

use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Encoded images larger than this are refused; the largest camera files are a tenth of it.
pub(crate) const MAX_ENCODED: u64 = 1 << 30;

/// The regular file at `path`, or at the end of the links there, open for reading.
///
/// A named pipe would wait for a writer for ever, and a device may do anything, so these are not opened but refused by
/// their names.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    check(std::fs::metadata(path)?.file_type())?;
    // Should it have become a pipe since, opening it returns at once and the second look tells.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    check(file.metadata()?.file_type())?;
    Ok(file)
}

fn check(kind: FileType) -> io::Result<()> {
    let what = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::other(format!(
        "it is {what}; only regular files are read"
    )))
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::io::Read;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn regular_files_are_opened_and_others_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), b"12").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        let pipe = CString::new(at("pipe").as_os_str().as_bytes()).unwrap();
        // SAFETY: a path that ends with a zero.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        std::os::unix::fs::symlink("pipe", at("to-pipe")).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        for name in ["file", "link"] {
            let mut data = Vec::new();
            open(&at(name)).unwrap().read_to_end(&mut data).unwrap();
            assert_eq!(data, b"12");
        }
        let words = |path: &Path| open(path).unwrap_err().to_string();
        assert!(words(&at("pipe")).contains("named pipe"));
        assert!(words(&at("to-pipe")).contains("named pipe"));
        assert!(words(&at("socket")).contains("socket"));
        assert!(words(folder.path()).contains("folder"));
        assert!(words(Path::new("/dev/null")).contains("device"));
        assert!(open(&at("gone")).is_err() && open(&at("loop")).is_err());
    }
}
