//! What lies in a folder's output, read by the Parquet reader and a plain walk alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::util::display::array_value_to_string;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::folder::Folder;

/// All files below a folder, as paths relative to it.
pub(crate) fn walk(root: &Path) -> Vec<String> {
    fn add(root: &Path, below: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(below).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => add(root, &path, found),
                false => found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    let mut found = Vec::new();
    add(root, root, &mut found);
    found.sort();
    found
}

/// The Parquet files below a folder, as a glob finds them.
pub(crate) fn parquet(root: &Path) -> Vec<String> {
    walk(root).into_iter().filter(|path| path.ends_with(".parquet")).collect()
}

/// One row as text, by column.
pub(crate) type Row = BTreeMap<String, String>;

/// Every visible row below a folder, the columns of its path included, in the order of `article_id`.
pub(crate) fn rows(root: &Path) -> Vec<Row> {
    let mut rows: Vec<Row> = parquet(root).iter().flat_map(|path| rows_of(root, path)).collect();
    rows.sort();
    rows
}

fn rows_of(root: &Path, path: &str) -> Vec<Row> {
    let file = fs::File::open(root.join(path)).unwrap();
    let parts: Row = path
        .split('/')
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let mut columns = parts.clone();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                if !column.is_null(row) {
                    columns.insert(field.name().clone(), array_value_to_string(column, row).unwrap());
                }
            }
            rows.push(columns);
        }
    }
    rows
}

/// The values of a column, in order.
pub(crate) fn column(rows: &[Row], name: &str) -> Vec<String> {
    rows.iter().map(|row| row.get(name).cloned().unwrap_or_else(|| "null".into())).collect()
}

impl Folder {
    pub(crate) fn rows(&self) -> Vec<Row> {
        rows(&self.path("out"))
    }

    /// Writes another text for one that a file holds once.
    pub(crate) fn change(&self, name: &str, from: &str, to: &str) {
        let before = fs::read_to_string(self.path(name)).unwrap();
        assert_eq!(before.matches(from).count(), 1, "{from}");
        self.write(name, &before.replace(from, to));
    }

    pub(crate) fn run(&self) -> String {
        self.say_ok("run pipeline.toml --until-end")
    }

    /// What a line that goes well says on stderr.
    pub(crate) fn say_ok(&self, line: &str) -> String {
        let said = self.say(line);
        assert_eq!(said.code, 0, "{line}: {said:?}");
        said.stderr
    }

    pub(crate) fn verified(&self) {
        let report = self.json("verify pipeline.toml");
        assert_eq!(report["ok"], true, "{report}");
    }

    pub(crate) fn commit(&self, number: u64) -> PathBuf {
        self.path(&format!("out/.millstream/commits/{number}.json"))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path("out/.millstream")
    }

    /// Makes a published file look like one whose upload was lost before it was ever visible: the file is gone, and so is
    /// the mark that all was published.
    pub(crate) fn lose(&self, day: &str) -> String {
        let file = self.data_file(day);
        fs::remove_file(&file).unwrap();
        fs::remove_dir_all(self.log().join("ends")).unwrap();
        file.file_name().unwrap().to_str().unwrap().to_owned()
    }

    pub(crate) fn add_input(&self, name: &str, lines: &[(&str, &str, &str)]) {
        let line = |(id, day, content): &(&str, &str, &str)| {
            format!("{{\"article_id\":\"{id}\",\"publish_date\":\"{day}T08:00:00Z\",\"content\":\"{content}\"}}\n")
        };
        self.write(&format!("in/{name}"), &lines.iter().map(line).collect::<String>());
    }
}
