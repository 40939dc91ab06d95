//! Reading a text file, plain or packed, from a place in it: check what was read before, then batches of whole records.
//!
//! ```text
//! open → catch up to the place → window → frame → batch → … → how the file ends
//! ```
//!
//! What must stay true: a reader waits for memory only while it holds none, so that readers cannot wait for each other;
//! and it never holds more than a window, which is a fetch or a record of the limit's size.
//!
//! A last line without a line end is a record where the run has an end; where it has none, its writer may be in the middle of
//! it and it is left until the line end comes. The same holds for a packed stream that ends in the middle of a member: an
//! endless run waits for the rest, one with an end refuses what there is of the unfinished record. Bytes that cannot be
//! unpacked are one refusal at the place where they begin.

use bytes::Bytes;
use millstream_operators::batch::{Beside, Positions};
use millstream_operators::{Permit, Position, RawBatch, Reason, Records, Refusal};
use tracing::{info, warn};

use super::Settings;
use super::digest::Digest;
use super::frame::{Framed, Framing, Scanner, too_large};
use super::header::Header;
use super::input::{Ending, Input};
use super::object::{KEPT_WHOLE, Object};
use super::place::{Note, Place};
use super::unpack::Packing;
use crate::connector::{Bounds, End, Outlet, SourceError};

/// A text file being read.
pub(super) struct Text<'a> {
    settings: &'a Settings,
    object: Object,
    framing: Framing,
    header: Option<Bytes>,
    input: Input,
    digest: Digest,
    /// What the last window held behind its last whole record.
    rest: Bytes,
    /// Where a refused rest begins: a record found there now needs a position behind the refusal's.
    mended: Option<u64>,
}

/// Reads the file from behind `from`.
pub(super) async fn read(
    settings: &Settings,
    framing: Framing,
    with_header: bool,
    object: Object,
    mut from: Place,
    outlet: &mut dyn Outlet,
) -> Result<End, SourceError> {
    let packing = match settings.packing {
        Some(packing) => packing,
        None => Packing::of(&object.range(0, 4).await?),
    };
    let mut header = None;
    if with_header {
        let mut input = Input::open(object.clone(), packing, 0)?;
        match Header::read(settings, framing, &mut input, outlet).await? {
            Header::Found { line, body } => {
                from.offset = from.offset.max(body);
                header = Some(line);
            }
            Header::Absent => return Ok(End::Resting),
            Header::Stopped => return Ok(End::Stopped),
            // What is wrong with the file is found again at its beginning, and refused there.
            Header::Broken => from = Place { note: None, ..from },
            Header::Endless { permit, bytes } => {
                let mut text = Text::open(settings, framing, None, object, packing, &from)?;
                text.rest = bytes;
                return text.refuse_rest(ENDLESS_HEADER.into(), permit, outlet).await;
            }
        }
    }
    let mut text = Text::open(settings, framing, header, object, packing, &from)?;
    match text.catch_up(&from, outlet).await? {
        true => text.run(outlet).await,
        false => Ok(End::Stopped),
    }
}

const ENDLESS_HEADER: &str =
    "the header line is over the limit for a record, so nothing of this file can be read; is it CSV?";

impl<'a> Text<'a> {
    fn open(
        settings: &'a Settings,
        framing: Framing,
        header: Option<Bytes>,
        object: Object,
        packing: Packing,
        from: &Place,
    ) -> Result<Self, SourceError> {
        let digest = match &from.note {
            Some(note) if packing == Packing::Plain && may_begin_late(settings, &object, from, note) => {
                Digest::resume(from.offset, note.mark.blocks)
            }
            _ => Digest::new(),
        };
        let input = Input::open(object.clone(), packing, digest.at())?;
        let mended = from.broken.then_some(from.offset);
        Ok(Text { settings, object, framing, header, input, digest, rest: Bytes::new(), mended })
    }

    /// Reads up to the place and holds it against what was noted there. `false` when the pipeline is stopping.
    async fn catch_up(&mut self, from: &Place, outlet: &mut dyn Outlet) -> Result<bool, SourceError> {
        let whole = self.digest.at() == 0;
        while self.digest.at() < from.offset {
            let size = self.input.size(self.rest.len(), self.settings.fetch);
            let Some(_permit) = outlet.reserve(2 * size).await else { return Ok(false) };
            let window = self.input.window(std::mem::take(&mut self.rest), size).await?;
            let wanted = from.offset - self.digest.at();
            if window.end.is_some() && (window.bytes.len() as u64) < wanted {
                let length = self.digest.at() + window.bytes.len() as u64;
                return Err(self.object.changed(format!(
                    "it was read up to byte {} and ends at byte {length} now: {KEPT_WHOLE}",
                    from.offset
                )));
            }
            let known = window.bytes.len().min(wanted as usize);
            self.digest.update(&window.bytes[..known]);
            self.rest = window.bytes.slice(known..);
        }
        match &from.note {
            Some(note) if note.mark != self.digest.mark() => Err(self
                .object
                .changed(format!("its first {} bytes were read and are others now: {KEPT_WHOLE}", from.offset))),
            _ => {
                if whole {
                    self.settings.checks.done(&self.object.split, from.offset);
                }
                Ok(true)
            }
        }
    }

    async fn run(&mut self, outlet: &mut dyn Outlet) -> Result<End, SourceError> {
        let longest = self.settings.record_limit + 2;
        let mut wanted = self.settings.fetch;
        loop {
            let size = self.input.size(self.rest.len(), wanted);
            let Some(permit) = outlet.reserve(2 * size).await else { return Ok(End::Stopped) };
            let window = self.input.window(std::mem::take(&mut self.rest), size).await?;
            let before = window.bytes.len();
            self.rest = window.bytes;
            if !self.batches(window.end.as_ref(), &permit, outlet).await? {
                return Ok(End::Stopped);
            }
            wanted = if self.rest.len() < before { self.settings.fetch } else { self.settings.fetch.max(longest) };
            if let Some(end) = window.end {
                return self.finish(&end, permit, outlet).await;
            }
            if self.rest.len() >= longest
                && let Some(end) = self.skip(permit, outlet).await?
            {
                return Ok(end);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Sends all whole records of the window in `rest`. `false` when the pipeline is stopping.
    async fn batches(
        &mut self,
        end: Option<&Ending>,
        permit: &Permit,
        outlet: &mut dyn Outlet,
    ) -> Result<bool, SourceError> {
        let last = end == Some(&Ending::Whole) && self.settings.bounds == Bounds::UntilEnd;
        loop {
            let framed = self.framing.frame(&self.rest, last, self.settings.record_limit);
            if framed.consumed == 0 {
                return Ok(true);
            }
            let base = self.digest.at();
            let data = self.rest.split_to(framed.consumed);
            self.digest.update(&data);
            if framed.spans.is_empty() {
                continue;
            }
            let ended = end == Some(&Ending::Whole) && self.rest.is_empty();
            let until = self.here(ended);
            if !outlet.send(self.batch(base, data, framed, until, permit.clone())).await {
                return Ok(false);
            }
        }
    }

    /// What to do about what is left when the file ends.
    async fn finish(&mut self, end: &Ending, permit: Permit, outlet: &mut dyn Outlet) -> Result<End, SourceError> {
        let file = &*self.object.split;
        let message = match (end, self.settings.bounds) {
            (Ending::Whole, _) => {
                if !self.rest.is_empty() {
                    info!(file, bytes = self.rest.len(), "the last line has no end yet; it is read when it has");
                }
                return Ok(End::Resting);
            }
            (Ending::Truncated, Bounds::Unbounded) => {
                warn!(file, "the {} stream ends in the middle; it is read on when the rest is there", self.packing());
                return Ok(End::Resting);
            }
            (Ending::Truncated, Bounds::UntilEnd) => {
                format!("the {} stream ends in the middle of this record; write the file again, whole", self.packing())
            }
            (Ending::Broken(what), _) => format!(
                "the {} stream cannot be unpacked from here on ({what}); write what follows into a new file",
                self.packing()
            ),
        };
        if self.mended == Some(self.digest.at()) {
            return Ok(End::Resting);
        }
        self.refuse_rest(message, permit, outlet).await
    }

    /// Refuses what is left as one record, once.
    async fn refuse_rest(
        &mut self,
        message: String,
        permit: Permit,
        outlet: &mut dyn Outlet,
    ) -> Result<End, SourceError> {
        let length = self.rest.len().min(self.settings.record_limit);
        let refusal = Refusal { row: 0, reason: Reason::Decode, field: None, message };
        let framed = Framed { spans: vec![(0, length as u32)], refused: vec![refusal], consumed: length };
        let mut until = self.here(true);
        until.broken = true;
        let data = std::mem::take(&mut self.rest);
        let sent = outlet.send(self.batch(self.digest.at(), data, framed, until, permit)).await;
        Ok(if sent { End::Resting } else { End::Stopped })
    }

    /// Passes over a record longer than any window and refuses it. An end, where that is where it leads.
    async fn skip(&mut self, permit: Permit, outlet: &mut dyn Outlet) -> Result<Option<End>, SourceError> {
        let (base, before) = (self.digest.at(), self.digest.clone());
        let head = self.rest.slice(..self.settings.record_limit);
        let mut scanner = Scanner::new(self.framing);
        let mut piece = std::mem::take(&mut self.rest);
        let mut ending = None;
        let length = loop {
            if let Some(end) = scanner.end(&piece) {
                let length = self.digest.at() - base + end as u64;
                self.digest.update(&piece[..=end]);
                self.rest = piece.slice(end + 1..);
                break length;
            }
            self.digest.update(&piece);
            drop(piece);
            if let Some(end) = &ending {
                if *end == Ending::Whole && self.settings.bounds == Bounds::UntilEnd {
                    break self.digest.at() - base;
                }
                (self.digest, self.rest) = (before, head);
                return self.finish(end, permit, outlet).await.map(Some);
            }
            let window = self.input.window(Bytes::new(), self.settings.fetch).await?;
            (piece, ending) = (window.bytes, window.end);
        };
        let refused = vec![too_large(0, length, self.settings.record_limit)];
        let framed = Framed { spans: vec![(0, head.len() as u32)], refused, consumed: head.len() };
        let until = self.here(ending == Some(Ending::Whole) && self.rest.is_empty());
        let sent = outlet.send(self.batch(base, head, framed, until, permit)).await;
        Ok((!sent).then_some(End::Stopped))
    }

    /// The place read to.
    fn here(&self, ended: bool) -> Place {
        let note = Note { mark: self.digest.mark(), ended, revision: self.object.revision.clone() };
        Place { offset: self.digest.at(), broken: false, note: Some(note) }
    }

    fn packing(&self) -> &'static str {
        self.input.packing().name()
    }

    fn batch(&self, base: u64, data: Bytes, framed: Framed, until: Place, permit: Permit) -> RawBatch {
        let positions = match self.mended {
            Some(mended) if mended == base => behind_refusal(base, &framed.spans),
            _ => Positions::Offsets { base },
        };
        RawBatch {
            split: self.object.split.clone(),
            size: data.len(),
            records: Records::Framed { data, spans: framed.spans },
            positions,
            until: until.position(),
            arrived_at: self.object.modified.unwrap_or_else(|| (self.settings.clock)()),
            refused: framed.refused,
            beside: Beside { header: self.header.clone(), ..Beside::default() },
            permit,
        }
    }
}

/// Whether it is enough to check the last block of what was read.
fn may_begin_late(settings: &Settings, object: &Object, from: &Place, note: &Note) -> bool {
    note.revision == object.revision || !settings.checks.due(&object.split, from.offset)
}

/// Positions of records that begin where a broken rest was refused: the first of them goes behind the refusal.
fn behind_refusal(base: u64, spans: &[(u32, u32)]) -> Positions {
    let position = |(start, _): &(u32, u32)| match *start {
        0 => Place { offset: base, broken: true, note: None }.position(),
        start => Position::at(base + u64::from(start)),
    };
    Positions::Each(spans.iter().map(position).collect())
}
