//! Files that are either the old one or the new one, never half of either.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::{Error, Result};

/// Writes `bytes` to `path` so that a reader, or a crash at any moment, meets either the old file or
/// the whole new one: temporary name in the same folder, sync, rename, sync of the folder.
///
/// # Errors
/// [`Error::File`] when the folder is missing or not writable, or the disk is full; the file at
/// `path` is then as it was and the temporary one is removed.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let name = path.file_name().ok_or_else(|| Error::file(path, "is not the name of a file"))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(temporary_name);

    replace(&temporary, path, bytes).and_then(|()| sync_folder(folder)).map_err(|error| {
        // Already renamed or never created: then there is nothing to remove.
        let _ = fs::remove_file(&temporary);
        Error::file(path, format!("cannot be written: {error}"))
    })
}

fn replace(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, path)
}

/// Makes a rename in `folder` last through a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Windows cannot open a folder as a file; its rename is journalled.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_atomic(&path, b"a longer first text").unwrap();
        write_atomic(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none/a.bin");
        let message = write_atomic(&path, b"").unwrap_err().to_string();
        assert!(message.contains("none") && message.contains("cannot be written"), "{message}");
        assert!(write_atomic(folder.path().join(".."), b"").is_err());
    }

    #[test]
    fn a_failed_rename_keeps_the_old_and_removes_the_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"kept").unwrap();
        assert!(write_atomic(&path, b"new").is_err());
        assert_eq!(names(folder.path()), ["taken"]);
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"kept");
    }
}
