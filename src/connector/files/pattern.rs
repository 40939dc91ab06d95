//! Which files of a store are meant: all of a folder, one file, or those that a pattern fits.
//!
//! `*` and `?` stay within a part of a path, `**` crosses parts, `{a,b}` is either. Hidden files (a part that begins with
//! `.` or `_`, so `.millstream/` too) are ignored, unless the one file meant is named so.

use globset::{GlobBuilder, GlobMatcher};

/// The characters that make a path a pattern.
const SPECIAL: [char; 5] = ['*', '?', '{', '[', ']'];

/// Which files are meant.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    prefix: String,
    fits: Fits,
}

#[derive(Clone, Debug)]
enum Fits {
    /// Everything below a folder; empty for all.
    Folder(String),
    /// A path that is a file or a folder.
    Path(String),
    Glob(Box<GlobMatcher>),
}

/// Parts a path as a user writes it into the root of a store and the pattern below it: at the last `/` before the first
/// character that makes it a pattern. A path without such a character is all root.
pub fn part(path: &str) -> (&str, &str) {
    let Some(special) = path.find(SPECIAL) else { return (path, "") };
    match path[..special].rfind('/') {
        Some(0) => path.split_at(1),
        // The slashes of `s3://` are no end of a root.
        Some(at) if !path[..at].ends_with('/') => (&path[..at], &path[at + 1..]),
        Some(_) => (path, ""),
        None => (".", path),
    }
}

impl Pattern {
    /// A pattern relative to the root of a store, or what is wrong with it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if let Some(special) = text.find(SPECIAL) {
            let glob = GlobBuilder::new(text).literal_separator(true).build().map_err(|e| e.kind().to_string())?;
            let prefix = text[..special].rfind('/').map_or("", |at| &text[..=at]);
            return Ok(Pattern { prefix: prefix.into(), fits: Fits::Glob(Box::new(glob.compile_matcher())) });
        }
        let fits = match text {
            "" => Fits::Folder(String::new()),
            folder if folder.ends_with('/') => Fits::Folder(folder.into()),
            path => Fits::Path(path.into()),
        };
        Ok(Pattern { prefix: text.into(), fits })
    }

    /// What all fitting keys start with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether a key is one of the files meant.
    pub(super) fn fits(&self, key: &str) -> bool {
        match &self.fits {
            Fits::Folder(folder) => below(key, folder).is_some_and(|rest| !hidden(rest)),
            Fits::Path(path) => {
                key == path
                    || below(key, path).is_some_and(|rest| rest.strip_prefix('/').is_some_and(|rest| !hidden(rest)))
            }
            Fits::Glob(glob) => glob.is_match(key) && !hidden(key),
        }
    }
}

fn below<'a>(key: &'a str, folder: &str) -> Option<&'a str> {
    key.strip_prefix(folder)
}

fn hidden(key: &str) -> bool {
    key.split('/').any(|part| part.starts_with(['.', '_']))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_a_shell_would() {
        let fits = |pattern: &str, key: &str| Pattern::new(pattern).unwrap().fits(key);
        for (pattern, yes, no) in [
            ("", &["a", "x/a"][..], &[".a", "_a", "x/.a", ".millstream/commits/1.json", "_tmp/a"][..]),
            ("x", &["x", "x/a", "x/y/a"], &["xy", "xy/a", "x/_a"]),
            ("x/", &["x/a"], &["x", "xy/a"]),
            ("_x", &["_x"], &["x"]),
            ("*.json", &["a.json"], &["x/a.json", ".a.json", "a.jsonl"]),
            ("**/*.json", &["a.json", "x/y/a.json"], &["x/_y/a.json"]),
            ("x/{a,b}?.gz", &["x/a1.gz", "x/b2.gz"], &["x/a.gz", "x/c1.gz", "x/a/1.gz"]),
        ] {
            for key in yes {
                assert!(
                    fits(pattern, key) && key.starts_with(Pattern::new(pattern).unwrap().prefix()),
                    "{pattern} {key}"
                );
            }
            for key in no {
                assert!(!fits(pattern, key), "{pattern} {key}");
            }
        }
        assert!(Pattern::new("a{b").is_err());
    }

    #[test]
    fn a_path_parts_into_root_and_pattern() {
        for (path, root, pattern) in [
            ("/data/in", "/data/in", ""),
            ("/data/*/a.json", "/data", "*/a.json"),
            ("/*.json", "/", "*.json"),
            ("*.json", ".", "*.json"),
            ("in/**", "in", "**"),
            ("s3://bucket/x/y*.gz", "s3://bucket/x", "y*.gz"),
            ("s3://bucket/*.gz", "s3://bucket", "*.gz"),
        ] {
            assert_eq!(part(path), (root, pattern), "{path}");
        }
    }
}
