//! Whether a path inside the project stays inside when links are followed.

use std::fs;
use std::path::Path;

use contract::fault::Fault;

/// Checks that no folder on the way to `path` (normalised, relative to `root`) is a link that leads out of the project, or
/// into the store. Links to other folders of the project are fine; what is not there yet will be made a folder.
///
/// The last name is not followed: whatever is there is replaced, not written through.
///
/// # Errors
/// `path::link_outside`, without a route.
pub fn way_to(root: &Path, path: &str) -> Result<(), Fault> {
    let Some((folders, _)) = path.rsplit_once('/') else { return Ok(()) };
    let mut here = root.to_owned();
    for part in folders.split('/') {
        here.push(part);
        match fs::symlink_metadata(&here) {
            Ok(meta) if meta.is_symlink() => follow(root, path, &here)?,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

/// As [`way_to`], and what is at `path` itself must not be a link that leads out either.
///
/// # Errors
/// As [`way_to`].
pub fn all_of(root: &Path, path: &str) -> Result<(), Fault> {
    way_to(root, path)?;
    let here = root.join(path);
    if here.is_symlink() { follow(root, path, &here) } else { Ok(()) }
}

fn follow(root: &Path, path: &str, link: &Path) -> Result<(), Fault> {
    let shown = link.strip_prefix(root).unwrap_or(link).display();
    let real_root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let leads = match link.canonicalize() {
        Ok(real) if real.starts_with(real_root.join(".pipeline")) => "into the store".to_owned(),
        Ok(real) if real.starts_with(&real_root) => return Ok(()),
        Ok(real) => format!("out of the project, to `{}`", real.display()),
        Err(_) => "nowhere".to_owned(),
    };
    let message = if link.ends_with(path) {
        format!("the output `{path}` is a link that leads {leads}")
    } else {
        format!("the output `{path}` lies behind the link `{shown}`, which leads {leads}")
    };
    Err(Fault::error(contract::code!("path::link_outside"), message)
        .help("outputs are files and folders of the project itself; `pipeline get` copies them elsewhere"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_may_lead_around_but_not_out() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = folder.path();
        for name in ["real/deep", ".pipeline/tmp"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        symlink("real/deep", root.join("inside")).unwrap();
        symlink(elsewhere.path(), root.join("outside")).unwrap();
        symlink("../..", root.join("real/up")).unwrap();
        symlink("gone", root.join("dangling")).unwrap();
        symlink(".pipeline/tmp", root.join("store")).unwrap();
        for fine in ["a", "real/deep/a", "inside/a", "new/folder/a", "outside"] {
            assert_eq!(way_to(root, fine).map_err(|fault| fault.message), Ok(()), "{fine}");
        }
        for bad in ["outside/a", "outside/a/b", "real/up/a", "dangling/a", "store/a"] {
            assert_eq!(way_to(root, bad).unwrap_err().code, "path::link_outside", "{bad}");
        }
        assert_eq!(all_of(root, "outside").unwrap_err().code, "path::link_outside");
        assert!(all_of(root, "inside").is_ok());
    }
}
