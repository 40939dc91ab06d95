//! Protobuf files as text into descriptors.
//!
//! Owns the compiling, in memory, with `google/protobuf/…` at hand. What must stay true: nothing is read but what is named.

use std::collections::BTreeMap;
use std::path::Path;

use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

/// The descriptors of a file that lies in a folder, and of all that it imports from there.
pub(super) fn from_folder(folder: &Path, name: &str) -> Result<Vec<u8>, protox::Error> {
    let mut compiler = Compiler::new([folder])?;
    compiler.include_imports(true).open_file(name)?;
    Ok(compiler.encode_file_descriptor_set())
}

/// The descriptors of one of some files, and of those that it imports.
pub(super) fn from_texts(files: BTreeMap<String, String>, name: &str) -> Result<Vec<u8>, protox::Error> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Texts(files));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file(name)?;
    Ok(compiler.encode_file_descriptor_set())
}

/// Files by name.
struct Texts(BTreeMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let text = self.0.get(name).ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}
