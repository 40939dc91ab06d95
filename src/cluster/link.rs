//! A connection to one other process, alive for as long as both ends are.
//!
//! ```text
//! words ──┐                                     ┌──► words, to the mesh
//! data  ──┼─► writer ═══ connection ═══ reader ─┤
//! beats ──┘                                     └──► data, to the pipe
//! ```
//! Owns the two tasks of a connection, and notices when nobody is at the other end: it was closed, or nothing was heard of
//! it for a while, beats included. What must stay true: a peer that is there is never taken for lost, however much it has to
//! say and however slow the line is, since any byte counts as a sign of life; data is passed on whole and in order, and that
//! no more follows is told apart from a connection that broke off.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::frame::{Frame, Word};
use super::hello::{Acquainted, Wire};
use super::pipe::{self, Pipe};

/// How often a process that has nothing to say shows that it is alive.
const BEAT: Duration = Duration::from_millis(500);
/// How long a peer may be silent.
pub(super) const SILENCE: Duration = Duration::from_secs(3);
/// How long to wait, once all is said, for the other end to close too.
const CLOSING: Duration = Duration::from_secs(2);
/// Words that may wait to be sent.
const WORDS: usize = 64;
const READ: usize = 256 << 10;

/// What a link tells the mesh.
pub(super) enum Event {
    /// A peer is there.
    Up { start: u64, link: Link },
    /// It says something.
    Heard { peer: usize, serial: u64, word: Box<Word> },
    /// It is gone.
    Lost { peer: usize, serial: u64, why: String },
    /// All was said on both sides.
    Done { peer: usize, serial: u64 },
}

/// Bytes that went over the links of a process, frames and all.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    /// Bytes sent to other processes.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes received from other processes.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// A connection to a peer.
pub(super) struct Link {
    pub(super) peer: usize,
    /// Tells this connection from earlier ones to the same peer.
    pub(super) serial: u64,
    /// The data's way in and out, until it is taken.
    pub(super) pipe: Option<Pipe>,
    words: mpsc::Sender<Word>,
    _reader: AbortOnDropHandle<()>,
    writer: AbortOnDropHandle<()>,
}

impl Link {
    /// Begins to send and to listen.
    pub(super) fn begin(
        Acquainted { peer, start: _, wire }: Acquainted,
        serial: u64,
        traffic: Arc<Traffic>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (reading, writing) = split(wire);
        let (words, to_say) = mpsc::channel(WORDS);
        let (pipe, far) = pipe::pipe();
        let heard_all = CancellationToken::new();
        let writer = Writer {
            to: BufWriter::with_capacity(READ, writing),
            words: to_say,
            data: far.outgoing,
            heard_all: heard_all.clone(),
            traffic: traffic.clone(),
        };
        let reader = Reader { from: reading, bytes: BytesMut::new(), heard_all, traffic };
        let writer = tokio::spawn(writer.run());
        let reader = tokio::spawn(reader.run(peer, serial, far.incoming, events));
        let (reader, writer) = (AbortOnDropHandle::new(reader), AbortOnDropHandle::new(writer));
        Link { peer, serial, pipe: Some(pipe), words, _reader: reader, writer }
    }

    /// Says something, where the peer still listens. What it does not hear it has no use for: it is gone.
    pub(super) fn say(&self, word: Word) {
        if self.words.try_send(word).is_err() {
            tracing::debug!(peer = self.peer, "a word could not be sent");
        }
    }

    /// Waits until everything is written and the connection is closed on this side.
    pub(super) async fn written(&mut self) {
        // However it ended, it has.
        let _ = (&mut self.writer).await;
    }
}

struct Writer {
    to: BufWriter<WriteHalf<Box<dyn Wire>>>,
    words: mpsc::Receiver<Word>,
    data: mpsc::Receiver<Frame>,
    /// Cancelled when the peer has said that no data follows.
    heard_all: CancellationToken,
    traffic: Arc<Traffic>,
}

impl Writer {
    async fn run(mut self) {
        // A peer that cannot be written to is one that the reader will find gone.
        if let Err(error) = self.write().await {
            tracing::debug!(%error, "a peer cannot be written to");
        }
    }

    async fn write(&mut self) -> io::Result<()> {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut data_ended, mut piped) = (false, true);
        loop {
            let frame = tokio::select! {
                biased;
                Some(word) = self.words.recv() => Frame::Word(Box::new(word)),
                frame = self.data.recv(), if piped => match frame {
                    Some(frame) => frame,
                    None => { piped = false; continue }
                },
                () = self.heard_all.cancelled(), if data_ended => return self.to.shutdown().await,
                _ = beats.tick() => Frame::Beat,
            };
            data_ended |= matches!(frame, Frame::End);
            let last = matches!(&frame, Frame::Word(word) if matches!(**word, Word::Bye { .. }));
            self.put(&frame).await?;
            if last {
                return self.to.shutdown().await;
            }
            if self.words.is_empty() && self.data.is_empty() {
                self.to.flush().await?;
            }
        }
    }

    async fn put(&mut self, frame: &Frame) -> io::Result<()> {
        let mut head = BytesMut::with_capacity(8);
        let body = frame.write(&mut head)?;
        self.to.write_all(&head).await?;
        self.to.write_all(&body).await?;
        self.traffic.sent.fetch_add((head.len() + body.len()) as u64, Ordering::Relaxed);
        Ok(())
    }
}

struct Reader {
    from: ReadHalf<Box<dyn Wire>>,
    bytes: BytesMut,
    heard_all: CancellationToken,
    traffic: Arc<Traffic>,
}

impl Reader {
    async fn run(mut self, peer: usize, serial: u64, data: pipe::Incoming, events: mpsc::Sender<Event>) {
        // A mesh that is gone needs to hear nothing.
        match self.read(peer, serial, &data, &events).await {
            Ok(()) => {
                data.end();
                self.heard_all.cancel();
                self.until_closed().await;
                let _ = events.send(Event::Done { peer, serial }).await;
            }
            Err(why) => {
                let _ = events.send(Event::Lost { peer, serial, why: why.to_string() }).await;
                // Whoever waits for data is to go on waiting, until the process ends for the reason that was told: an end
                // of the data that is none would only make timely panic.
                data.hold_on().await;
            }
        }
    }

    /// Reads until no data follows.
    async fn read(
        &mut self,
        peer: usize,
        serial: u64,
        data: &pipe::Incoming,
        events: &mpsc::Sender<Event>,
    ) -> io::Result<()> {
        loop {
            while let Some(frame) = Frame::read(&mut self.bytes)? {
                match frame {
                    Frame::Beat => {}
                    Frame::Data(bytes) => data.give(bytes).await,
                    Frame::Word(word) => {
                        let _ = events.send(Event::Heard { peer, serial, word }).await;
                    }
                    Frame::End => return Ok(()),
                }
            }
            self.more(SILENCE).await?;
        }
    }

    async fn more(&mut self, patience: Duration) -> io::Result<()> {
        self.bytes.reserve(READ);
        let silent = |_| io::Error::other(format!("nothing was heard of it for {} s", patience.as_secs()));
        match timeout(patience, self.from.read_buf(&mut self.bytes)).await.map_err(silent)? {
            Ok(0) => Err(io::Error::other("it closed the connection")),
            Ok(read) => {
                self.traffic.received.fetch_add(read as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                Err(io::Error::other("it broke the connection off"))
            }
            Err(error) => Err(error),
        }
    }

    /// To close with bytes unread would take from the peer what it has not read yet.
    async fn until_closed(&mut self) {
        let deadline = Instant::now() + CLOSING;
        while Instant::now() < deadline && self.more(CLOSING).await.is_ok() {
            self.bytes.clear();
        }
    }
}
