//! `populate files`: the command around [`super::populate`]. A stop keeps the files that are whole; the one under way never
//! shows.

use std::io::Write;

use crate::config::Packing;

use super::populate::{self, Populate, Written};
use super::signals::Signals;
use super::{Failure, PopulateFiles, load};

/// Writes the files and says how much it was.
pub(super) fn populate(asked: &PopulateFiles, signals: Signals, out: &mut impl Write) -> Result<(), Failure> {
    let made_up = &asked.made_up;
    let populate = Populate {
        folder: asked.out.clone(),
        kind: made_up.kind,
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
    let folder = asked.out.display();
    let runtime = load::runtime()?;
    let stopped = runtime.block_on(async {
        let stop = signals.stop();
        let mut whole = 0;
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(Err(whole)),
            written = populate.write(|so_far| whole = so_far.files) => written.map(Ok),
        }
    });
    match stopped.map_err(Failure::failed)? {
        Ok(Written { files, records, bytes }) => {
            let megabytes = bytes as f64 / 1e6;
            writeln!(out, "{records} records in {files} files, {megabytes:.1} MB before packing: {folder}")?;
        }
        Err(files) => writeln!(out, "stopped after {files} files: {folder}")?,
    }
    Ok(())
}
