//! A set on disk.

use std::collections::BTreeMap;
use std::path::Path;

/// The folders of a set that belong to `sluice convert` alone.
const FOLDERS: [&str; 3] = ["limits", "routers", "scenarios"];

/// Writes the files, each in one step; what an earlier run left in the folders of a set goes.
///
/// # Errors
/// With the name of what cannot be written, and for folders with something else in them.
pub fn write(folder: &Path, files: &BTreeMap<String, String>) -> Result<(), String> {
    let told = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| told(folder, error))?;
    let is_set = folder.join("set.json").exists();
    for name in FOLDERS {
        let inner = folder.join(name);
        if inner.exists() && !is_set {
            return Err(format!(
                "{}: is there already, and not by `sluice convert`; name another folder",
                inner.display()
            ));
        }
        if files.keys().any(|file| file.split('/').next() == Some(name)) {
            std::fs::create_dir_all(&inner).map_err(|error| told(&inner, error))?;
        }
        if !inner.exists() {
            continue;
        }
        let entries = std::fs::read_dir(&inner).map_err(|error| told(&inner, error))?;
        for entry in entries.flatten() {
            let path = entry.path();
            let kept = path
                .file_name()
                .and_then(|file| file.to_str())
                .is_some_and(|file| files.contains_key(&format!("{name}/{file}")));
            if !kept && path.extension().is_some_and(|kind| kind == "yaml") {
                std::fs::remove_file(&path).map_err(|error| told(&path, error))?;
            }
        }
    }
    let manifests = folder.join("manifests.yaml");
    if is_set && manifests.exists() && !files.contains_key("manifests.yaml") {
        std::fs::remove_file(&manifests).map_err(|error| told(&manifests, error))?;
    }
    for (name, text) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        let mut file = tempfile::NamedTempFile::new_in(parent).map_err(|error| told(&path, error))?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(|error| told(&path, error))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let readable = std::fs::Permissions::from_mode(0o644);
            file.as_file().set_permissions(readable).map_err(|error| told(&path, error))?;
        }
        file.persist(&path).map_err(|error| told(&path, error.error))?;
    }
    Ok(())
}
