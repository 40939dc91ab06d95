//! `populate files`: the command around [`super::populate`].

use std::io::Write;

use crate::config::{Material, Packing};
use crate::connector::generate::Kind;

use super::populate::{self, Populate};
use super::{Failure, PopulateFiles, load};

/// Writes the files and says how much it was.
pub(super) fn populate(asked: &PopulateFiles, out: &mut impl Write) -> Result<(), Failure> {
    let made_up = &asked.made_up;
    let populate = Populate {
        folder: asked.out.clone(),
        kind: match made_up.kind {
            Material::Articles => Kind::Articles,
            Material::Events => Kind::Events,
        },
        seed: made_up.seed,
        files: made_up.splits.into(),
        count: made_up.count,
        rate: made_up.rate,
        broken: made_up.broken,
        packing: match asked.compression {
            Packing::Gzip => populate::Packing::Gzip,
            Packing::Zstd => populate::Packing::Zstd,
            Packing::None | Packing::Auto => populate::Packing::None,
        },
    };
    let written = load::runtime()?.block_on(populate.write(|_| {})).map_err(Failure::failed)?;
    let (records, files, bytes) = (written.records, written.files, written.bytes as f64 / 1e6);
    writeln!(out, "{records} records in {files} files, {bytes:.1} MB before packing: {}", asked.out.display())?;
    Ok(())
}
