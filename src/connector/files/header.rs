//! The header line of a CSV file, read anew whenever the file is.

use bytes::Bytes;
use millstream_operators::Permit;

use super::Settings;
use super::frame::{Framing, Scanner};
use super::input::{Ending, Input};
use crate::connector::{Bounds, Outlet, SourceError};

/// What a look for the header found.
pub(super) enum Header {
    /// The line, without its end and without a byte-order mark, and where the records begin.
    Found { line: Bytes, body: u64 },
    /// The file ends before its first line does: there are no records.
    Absent,
    /// The packed stream breaks before the first line ends.
    Broken,
    /// A line longer than any record may be; its beginning.
    Endless { permit: Permit, bytes: Bytes },
    /// The pipeline is stopping.
    Stopped,
}

impl Header {
    /// The header of a file opened at its beginning.
    pub(super) async fn read(
        settings: &Settings,
        framing: Framing,
        input: &mut Input,
        outlet: &mut dyn Outlet,
    ) -> Result<Header, SourceError> {
        let (mut kept, mut wanted) = (Bytes::new(), settings.fetch);
        loop {
            let size = input.size(kept.len(), wanted);
            let Some(permit) = outlet.reserve(2 * size).await else { return Ok(Header::Stopped) };
            let window = input.window(kept, size).await?;
            if let Some(end) = Scanner::new(framing).end(&window.bytes) {
                return Ok(Header::Found { line: line(&window.bytes[..end]), body: end as u64 + 1 });
            }
            match window.end {
                Some(Ending::Whole) => return Ok(Header::Absent),
                Some(Ending::Truncated) if settings.bounds == Bounds::Unbounded => return Ok(Header::Absent),
                Some(_) => return Ok(Header::Broken),
                None if window.bytes.len() > settings.record_limit => {
                    return Ok(Header::Endless { permit, bytes: window.bytes });
                }
                None => (kept, wanted) = (window.bytes, settings.fetch.max(settings.record_limit + 1)),
            }
        }
    }
}

/// The header without what does not belong to it, in a buffer of its own: it outlives the window.
fn line(bytes: &[u8]) -> Bytes {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    Bytes::copy_from_slice(bytes.strip_suffix(b"\r").unwrap_or(bytes))
}
