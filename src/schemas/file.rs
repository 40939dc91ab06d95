//! A schema that lies in a file.
//!
//! Owns the reading of `.avsc`, of `.proto` with what it imports from its own folder, and of descriptor sets as `protoc
//! --include_imports --descriptor_set_out` writes them. Whether it is a schema at all is found out by the decoder.

use std::path::Path;

use millstream_operators::Definition;
use millstream_operators::written::Root;

use super::proto;

/// An Avro schema.
pub fn avro(path: &Path) -> Result<Definition, String> {
    let bytes = read(path)?;
    let schema = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text, as an Avro schema is".to_owned())?;
    Ok(Definition::Avro { schema, references: Vec::new() })
}

/// A message of a Protobuf schema.
pub fn protobuf(path: &Path, message: &str) -> Result<Definition, String> {
    let is_text = path.extension().is_some_and(|extension| extension == "proto");
    let files = if is_text { compiled(path)? } else { read(path)? };
    Ok(Definition::Protobuf { files, root: Root::Message(message.to_owned()) })
}

fn compiled(path: &Path) -> Result<Vec<u8>, String> {
    // That it is there is found out first, to be said as of any file.
    read(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    proto::from_folder(folder, name).map_err(|error| {
        let file = error.file().map_or(String::new(), |file| format!(" in {file}"));
        format!("cannot be compiled{file}: {error}; what it imports is looked for in its own folder")
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "is not there; the path is taken from the folder of the pipeline file on, unless it is absolute".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    })
}
