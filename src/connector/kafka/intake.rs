//! Records of a partition into batches.
//!
//! Owns the place up to which the partition is read, and moves it with what is taken. A record's bytes are copied once, out
//! of the client's memory into one buffer for the batch; what else is wanted of it (its key, its headers) goes into columns.
//! What must stay true: a record is taken once and in order; the place is behind all that was taken and before all else; the
//! last record that was read before is the same record when it is seen again.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StringBuilder, StructArray, TimestampMillisecondBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use bytes::Bytes;
use millstream_operators::batch::{Beside, Positions};
use millstream_operators::{Permit, RawBatch, Reason, Records, Refusal, Split};
use rdkafka::Message;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _};

use super::client::Context;
use super::place::{Place, Record};
use super::{Tombstones, Wishes};
use crate::connector::SourceError;

/// What a record takes beside its bytes.
const BESIDE: usize = 64;

/// Records on their way to a batch.
pub(super) struct Intake {
    split: Split,
    topic: Arc<str>,
    partition: i32,
    /// Where a bounded run ends.
    until: Option<i64>,
    wishes: Arc<Wishes>,
    pub(super) place: Place,
    /// What has to be seen again where it is still there.
    known: Option<Record>,
    taken: Taken,
}

/// What was taken since the last batch.
#[derive(Default)]
struct Taken {
    data: Vec<u8>,
    ends: Vec<usize>,
    offsets: Vec<u64>,
    refused: Vec<Refusal>,
    millis: Vec<Option<i64>>,
    keys: StringBuilder,
    headers: Vec<StringBuilder>,
    beside: usize,
    /// How many records and bytes the batch before had: the next is about as large.
    before: (usize, usize),
}

/// Why taking stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The batch is full.
    Full,
    /// Nothing more is there for now; `end`: the partition held no more when it was fetched.
    Empty { end: bool },
    /// All that a bounded run wants was taken.
    Enough,
    /// The client says that something is wrong, behind what was taken.
    Trouble(KafkaError),
    /// The partition is not the one that was read before.
    Other(SourceError),
}

impl Intake {
    pub(super) fn new(split: Split, topic: &str, partition: i32, until: Option<i64>, wishes: Arc<Wishes>) -> Self {
        let taken = Taken::new(&wishes);
        let (place, known) = (Place::default(), None);
        Intake { split, topic: topic.into(), partition, until, wishes, place, known, taken }
    }

    /// Goes on from a place; what was taken and not handed on is forgotten.
    pub(super) fn go_on_from(&mut self, place: Place) {
        self.place = place;
        self.known = place.last.filter(|last| last.offset < place.next);
        self.taken = Taken::new(&self.wishes);
    }

    /// Gives up seeing the last record again; `false` where it was seen, or none is known.
    pub(super) fn forget_last(&mut self) -> bool {
        self.known.take().is_some()
    }

    /// Whether a bounded run wants nothing more.
    pub(super) fn is_enough(&self) -> bool {
        self.until.is_some_and(|until| self.place.next >= until)
    }

    /// Whether the partition ended before the place when a bounded run began.
    pub(super) fn ends_before_its_place(&self) -> bool {
        self.until.is_some_and(|until| until < self.place.next)
    }

    /// Takes what was fetched, up to so many bytes.
    pub(super) fn take(&mut self, queue: &PartitionQueue<Context>, most: usize) -> Stop {
        let mut end = false;
        while self.bytes() < most {
            match queue.poll(Duration::ZERO) {
                None => return Stop::Empty { end },
                Some(Err(KafkaError::PartitionEOF(_))) => end = true,
                Some(Err(error)) => return Stop::Trouble(error),
                Some(Ok(message)) => {
                    end = false;
                    if let Some(stop) = self.one(&message) {
                        return stop;
                    }
                }
            }
        }
        Stop::Full
    }

    fn one(&mut self, message: &BorrowedMessage<'_>) -> Option<Stop> {
        let (offset, millis) = (message.offset(), message.timestamp().to_millis());
        if offset < self.place.next {
            return self.seen_again(offset, millis).map(Stop::Other);
        }
        if self.until.is_some_and(|until| offset >= until) {
            return Some(Stop::Enough);
        }
        // Once a later record came, the last one is not seen any more.
        self.known = None;
        self.place = self.place.behind(offset, millis);
        match (message.payload(), self.wishes.tombstones) {
            (None, Tombstones::Skip) => {}
            (payload, _) => self.taken.push(message, payload, offset as u64, millis, &self.wishes),
        }
        self.is_enough().then_some(Stop::Enough)
    }

    /// A record before the place: is it the last that was read? No other can be there: reading began with that one.
    fn seen_again(&mut self, offset: i64, millis: Option<i64>) -> Option<SourceError> {
        let known = self.known.take_if(|known| known.offset == offset);
        if known.is_some_and(|known| millis == Some(known.millis)) {
            return None;
        }
        Some(SourceError::Gone {
            split: self.split.to_string(),
            range: format!("offset {} on", self.place.next),
            message: format!(
                "another record lies at offset {offset} than was read there: the topic was deleted and made anew, or lost its end \
                 to a broker's failure. To read what is there now from its beginning, give the pipeline another `path` in [sink]"
            ),
        })
    }

    /// Bytes that are to be handed on, and what they take beside them.
    pub(super) fn bytes(&self) -> usize {
        self.taken.data.len() + self.taken.beside
    }

    /// How many records are to be handed on.
    pub(super) fn records(&self) -> usize {
        self.taken.ends.len()
    }

    /// When the last of them came to be, as it says itself: milliseconds since 1970.
    pub(super) fn last_millis(&self) -> Option<i64> {
        self.taken.millis.last().copied().flatten()
    }

    /// The batch of what was taken, or the place alone.
    pub(super) fn batch(&mut self, arrived_at: i64, permit: Permit) -> RawBatch {
        let before = (self.records(), self.taken.data.len());
        let mut taken = std::mem::replace(&mut self.taken, Taken { before, ..Taken::new(&self.wishes) });
        let columns = self.columns(&mut taken);
        let size = taken.data.len();
        let (data, mut start) = (Bytes::from(taken.data), 0);
        let payload = |end: usize| {
            let payload = data.slice(start..end);
            start = end;
            payload
        };
        RawBatch {
            split: self.split.clone(),
            records: Records::Payloads(taken.ends.into_iter().map(payload).collect()),
            positions: Positions::Numbered(taken.offsets),
            until: self.place.position(),
            arrived_at,
            refused: taken.refused,
            beside: Beside { columns, ..Beside::default() },
            permit,
            size,
        }
    }

    /// The columns that somebody uses.
    #[expect(clippy::expect_used, reason = "each column has a value for each record")]
    fn columns(&self, taken: &mut Taken) -> Option<RecordBatch> {
        let rows = taken.ends.len();
        let mut column = |name: &'static str| -> ArrayRef {
            match name {
                "_topic" => Arc::new(StringArray::new_repeated(&*self.topic, rows)),
                "_partition" => Arc::new(Int32Array::from_value(self.partition, rows)),
                "_offset" => Arc::new(Int64Array::from_iter_values(taken.offsets.iter().map(|offset| *offset as i64))),
                "_timestamp" => taken.times(),
                "_key" => Arc::new(taken.keys.finish()),
                _ => taken.headers(&self.wishes.headers),
            }
        };
        let named: Vec<_> = self.wishes.columns().map(|name| (name, column(name), true)).collect();
        let columns = (!named.is_empty() && rows > 0).then(|| RecordBatch::try_from_iter_with_nullable(named));
        columns.map(|columns| columns.expect("columns of one length"))
    }
}

impl Taken {
    fn new(wishes: &Wishes) -> Self {
        Taken { headers: wishes.headers.iter().map(|_| StringBuilder::new()).collect(), ..Taken::default() }
    }

    fn push(
        &mut self,
        message: &BorrowedMessage<'_>,
        payload: Option<&[u8]>,
        offset: u64,
        millis: Option<i64>,
        wishes: &Wishes,
    ) {
        if payload.is_none() {
            let message = "the message has no value (a tombstone); tombstones = \"skip\" in [source] passes over them";
            let row = self.ends.len() as u32;
            self.refused.push(Refusal { row, reason: Reason::Decode, field: None, message: message.to_owned() });
        }
        if self.ends.is_empty() {
            self.make_room();
        }
        self.data.extend_from_slice(payload.unwrap_or_default());
        self.ends.push(self.data.len());
        self.offsets.push(offset);
        self.millis.push(millis);
        self.beside += BESIDE;
        if wishes.key {
            let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
            self.beside += key.map_or(0, str::len);
            self.keys.append_option(key);
        }
        if !wishes.headers.is_empty() {
            self.push_headers(message, &wishes.headers);
        }
    }

    /// Without it, buffers would grow step by step, and be copied at each.
    fn make_room(&mut self) {
        let (records, bytes) = self.before;
        self.data.reserve(bytes + bytes / 8);
        self.ends.reserve(records + records / 8);
        self.offsets.reserve(records + records / 8);
        self.millis.reserve(records + records / 8);
    }

    /// Of two headers of one name the last counts, as of two equal keys in JSON.
    fn push_headers(&mut self, message: &BorrowedMessage<'_>, names: &[String]) {
        for (name, values) in names.iter().zip(&mut self.headers) {
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            let value = headers.filter(|header| header.key == name).last().and_then(|header| header.value);
            let text = value.and_then(|value| std::str::from_utf8(value).ok());
            self.beside += text.map_or(0, str::len);
            values.append_option(text);
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "milliseconds and microseconds are both 64 bits, and what overflows is null"
    )]
    fn times(&self) -> ArrayRef {
        let mut times = TimestampMillisecondBuilder::with_capacity(self.millis.len());
        self.millis.iter().for_each(|millis| times.append_option(*millis));
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        cast(&times.finish().with_timezone("UTC"), &micros).expect("times are times")
    }

    fn headers(&mut self, names: &[String]) -> ArrayRef {
        let fields: Fields = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        let columns = self.headers.iter_mut().map(|values| Arc::new(values.finish()) as ArrayRef).collect();
        Arc::new(StructArray::new(fields, columns, None))
    }
}
