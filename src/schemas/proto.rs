//! Protobuf files as text into descriptors.
//!
//! Owns the compiling, in memory, with `google/protobuf/…` at hand, and what registries have at hand themselves and so never
//! list among the references of a schema. What must stay true: nothing is read but what is named.

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

/// The options by which schemas are annotated in a registry. They say nothing of how a record is written.
const META: (&str, &str) = (
    "confluent/meta.proto",
    "syntax = \"proto3\"; package confluent; import \"google/protobuf/descriptor.proto\";
    message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
    extend google.protobuf.FileOptions { Meta file_meta = 1088; }
    extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
    extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
    extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
    extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }",
);

/// Files by name.
struct Texts(BTreeMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let known = (name == META.0).then_some(META.1);
        let text = self.0.get(name).map(String::as_str).or(known);
        File::from_source(name, text.ok_or_else(|| protox::Error::file_not_found(name))?)
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a schema that a registry takes and we do not.
    use super::*;

    #[test]
    fn annotated_schemas_compile() {
        let text = "syntax = \"proto3\"; import \"confluent/meta.proto\"; import \"google/protobuf/timestamp.proto\";
            message M { google.protobuf.Timestamp t = 1 [(confluent.field_meta) = { doc: \"when\", tags: [\"PII\"] }]; }";
        let compile = |text: &str| from_texts([("m.proto".to_owned(), text.to_owned())].into(), "m.proto");
        assert!(compile(text).is_ok());
        assert!(compile("syntax = \"proto3\"; import \"m.proto\";").is_err(), "a file that imports itself");
        assert!(compile(&"message M {".repeat(1_000)).is_err());
    }
}
