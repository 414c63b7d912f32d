//! Showing a sealed file of a folder to readers. May be done twice, and by two processes at once.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::SealedFile;
use super::staged::{remove_if_there, rename, reservation, sync_folder};
use crate::error::{ConnectorError, Result};

/// What there is of a sealed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Whole,
    OtherLength(u64),
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Rename,
    Done,
    Refuse(String),
}

fn decide(file: &SealedFile, staged: Found, published: Found) -> Decision {
    let expected = file.bytes;
    match (staged, published) {
        (Found::Whole, Found::Nothing) => Decision::Rename,
        (Found::Nothing, Found::Whole) => Decision::Done,
        (Found::Nothing, Found::Nothing) => {
            Decision::Refuse(format!("is lost: neither '{}' nor '{}' is there", file.staged, file.published))
        }
        (Found::OtherLength(bytes), _) => {
            Decision::Refuse(format!("is damaged: '{}' has {bytes} bytes, {expected} were sealed", file.staged))
        }
        (Found::Nothing, Found::OtherLength(bytes)) => {
            Decision::Refuse(format!("is damaged: '{}' has {bytes} bytes, {expected} were sealed", file.published))
        }
        (Found::Whole, _) => Decision::Refuse(format!("is in the way of another file: '{}' exists", file.published)),
    }
}

pub(super) fn publish_new(folder: &Path, file: &SealedFile) -> Result<()> {
    let (staged, published) = (folder.join(&file.staged), folder.join(&file.published));
    let look = |path: &Path| match fs::metadata(path) {
        Ok(metadata) if metadata.len() == file.bytes => Ok(Found::Whole),
        Ok(metadata) => Ok(Found::OtherLength(metadata.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(ConnectorError::io(format!("cannot look at '{}'", path.display()), error)),
    };
    // The published one is looked at last: it cannot vanish while the staged one can turn into it.
    let (found_staged, found_published) = (look(&staged)?, look(&published)?);
    match decide(file, found_staged, found_published) {
        Decision::Rename => {
            if let Err(error) = rename(&staged, &published) {
                // Another process may just have done it.
                if look(&published)? != Found::Whole {
                    return Err(error);
                }
            }
        }
        Decision::Done => {}
        // Between the two looks another process may have renamed it.
        Decision::Refuse(_) if look(&staged)? == Found::Nothing && look(&published)? == Found::Whole => {}
        Decision::Refuse(fact) => {
            return Err(ConnectorError::data(format!(
                "output file of a checkpoint {fact} in '{}' (hint: was the folder changed by hand, or is another pipeline writing to it?)",
                folder.display()
            )));
        }
    }
    // The name is taken now; without an owner this is the staged file itself, which is gone.
    remove_if_there(&folder.join(reservation(&file.published)))?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions() {
        let file = SealedFile { staged: ".a.sealed".into(), published: "a".into(), bytes: 7, start: None, rows: 1 };
        let refused = |staged, published| matches!(decide(&file, staged, published), Decision::Refuse(_));
        assert_eq!(decide(&file, Found::Whole, Found::Nothing), Decision::Rename);
        assert_eq!(decide(&file, Found::Nothing, Found::Whole), Decision::Done);
        assert!(refused(Found::Nothing, Found::Nothing));
        assert!(refused(Found::OtherLength(3), Found::Nothing));
        assert!(refused(Found::Nothing, Found::OtherLength(3)));
        assert!(refused(Found::Whole, Found::Whole));
    }
}
