//! A folder of input that grows: plain, gzip and zstd files, new ones and new lines.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::whole::articles::{Articles, gzip};
use crate::whole::pipeline::Pipeline;

/// A folder that grows.
pub(crate) struct Input {
    pub(crate) folder: PathBuf,
    articles: Articles,
    files: u32,
}

impl Input {
    /// A pipeline over a folder that grows.
    pub(crate) async fn with_pipeline(test: &str, on_s3: bool) -> (Pipeline, Self) {
        let folder = tempfile::tempdir().unwrap();
        let input = Input::new(folder.path().join("in"), 7);
        let source = format!("type = \"files\"\npath = {:?}\ninterval = \"50ms\"\n", input.folder);
        (Pipeline::new(folder, test, on_s3, &source).await, input)
    }

    fn new(folder: PathBuf, seed: u64) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        Input { folder, articles: Articles::new(seed), files: 0 }
    }

    /// A new file, packed in turns; it shows when it is whole.
    pub(crate) fn add_file(&mut self, records: u32) {
        let lines = self.lines(records);
        self.files += 1;
        let (ending, bytes) = match self.files % 3 {
            0 => ("", lines),
            1 => (".gz", gzip(&lines)),
            _ => (".zst", zstd::encode_all(&*lines, 1).unwrap()),
        };
        let name = format!("part-{:04}.ndjson{ending}", self.files);
        let hidden = self.folder.join(format!(".{name}"));
        std::fs::write(&hidden, bytes).unwrap();
        std::fs::rename(hidden, self.folder.join(name)).unwrap();
    }

    /// More lines in the one file that grows, in two writes that part a line.
    pub(crate) fn append(&mut self, records: u32) {
        let lines = self.lines(records);
        let mut file = OpenOptions::new().create(true).append(true).open(self.growing()).unwrap();
        let (head, tail) = lines.split_at(lines.len() / 2);
        file.write_all(head).unwrap();
        file.write_all(tail).unwrap();
    }

    pub(crate) fn growing(&self) -> PathBuf {
        self.folder.join("growing.ndjson")
    }

    fn lines(&mut self, records: u32) -> Vec<u8> {
        let mut lines = Vec::new();
        for _ in 0..records {
            lines.extend(self.articles.record());
            lines.push(b'\n');
        }
        lines
    }
}

/// The name of a file of the input.
pub(crate) fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}
