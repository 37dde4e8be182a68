//! Removing files and folders, whatever their permissions.

use std::fs;
use std::io;
use std::path::Path;

/// Removes a file or a folder, also one whose folders were made read-only. What is not there is no error.
///
/// # Errors
/// What the system says.
pub fn remove_all(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !meta.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mut folders = vec![path.to_owned()];
            while let Some(folder) = folders.pop() {
                fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
                let entries = fs::read_dir(&folder)?.flatten();
                folders.extend(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
            }
            fs::remove_dir_all(path)
        }
        other => other,
    }
}
