//! Uploads what encoding made, and holds an epoch back until all of it is stored.
//!
//! ```text
//! pieces ──► stage ──► staged files
//!              │ ▲
//!       a piece│ │stored, with its tag        (port: uploads on the outside)
//! ```
//! Owns the capability of every file that is not yet stored. Nothing staged is visible; what becomes of it is for the
//! commit to decide.
//!
//! What must stay true: a file is told of only when all its parts are stored, in the epoch in which its rows were read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;

use crate::encode::{FileId, Piece, Summary};
use crate::port::Port;
use crate::protocol::commit::FileRecord;
use crate::protocol::place::Place;

/// A piece for the outside to upload.
pub struct StageRequest {
    pub place: Place,
    pub piece: Piece,
}

/// The outside is through with a file: all its parts are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub file: FileId,
    /// The store's name for the upload.
    pub upload: String,
    /// The store's answer for each part, in order.
    pub parts: Vec<String>,
}

/// A file that is stored and waits for its commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    pub place: Place,
    pub file: FileRecord,
}

struct Waiting {
    capability: Capability<u64>,
    path: String,
    summary: Option<Summary>,
}

/// Builds the operator for the files of one place. `port` is made from the address to wake when a file is stored.
pub fn stage<'scope>(
    place: Place,
    pieces: StreamVec<'scope, u64, Piece>,
    port: impl FnOnce(Vec<usize>) -> Box<dyn Port<StageRequest, Stored>>,
) -> StreamVec<'scope, u64, Staged> {
    let name = format!("stage {place}");
    pieces.unary_frontier::<CapacityContainerBuilder<Vec<Staged>>, _, _, _>(Pipeline, &name, move |_, info| {
        let mut port = port(info.address.to_vec());
        let mut waiting: BTreeMap<FileId, Waiting> = BTreeMap::new();
        move |(input, _frontier), output| {
            input.for_each(|time, pieces| {
                for piece in pieces.drain(..) {
                    let fresh = || Waiting { capability: time.retain(0), path: piece.key.to_string(), summary: None };
                    let file = waiting.entry(piece.file).or_insert_with(fresh);
                    if let Some(summary) = &piece.end {
                        file.summary = Some(summary.clone());
                    }
                    port.send(StageRequest { place: place.clone(), piece });
                }
            });
            while let Some(stored) = port.receive() {
                let Some(file) = waiting.remove(&stored.file) else { continue };
                let capability = file.capability.clone();
                if let Some(staged) = file.staged(&place, stored) {
                    output.session(&capability).give(staged);
                }
            }
        }
    })
}

impl Waiting {
    fn staged(self, place: &Place, stored: Stored) -> Option<Staged> {
        let summary = self.summary?;
        let file = FileRecord {
            sink: if place.is_rejects() { Place::default() } else { place.clone() },
            path: self.path,
            rows: summary.rows,
            bytes: summary.bytes,
            crc: format!("{:016x}", summary.crc),
            upload: stored.upload,
            parts: stored.parts,
            ranges: summary.ranges,
        };
        Some(Staged { place: place.clone(), file })
    }
}
