//! A connection that does not wait for ever.
//!
//! hyper limits the time for a request's head once it knows the protocol. Three waits are left to us: the first bytes of a
//! connection, which decide the protocol; a client that does not read its answer; and the close after an answer that
//! came before the whole request was read. Closing a socket with unread bytes makes the kernel send a reset, which can
//! destroy the answer on its way; so the connection is shut down for writing and read on for a while.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::app::Timeouts;

/// Bytes read and thrown away at most before a connection is closed.
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the two ends of a connection, socket and request handler, tell each other.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    /// A request has arrived: from here on hyper limits the waiting for heads.
    served: AtomicBool,
    /// Everything read so far belongs to requests that were read to their end.
    settled: AtomicBool,
}

impl ConnectionState {
    /// A request's head was read; `whole` says that it has no body.
    pub(crate) fn request_started(&self, whole: bool) {
        self.served.store(true, Ordering::Relaxed);
        self.settled.store(whole, Ordering::Relaxed);
    }

    /// Whether the request was read to its end. If not, the connection ends with the answer.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    /// A request's body was read to its end.
    pub(crate) fn request_read(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }
}

/// A socket with limits on waiting.
pub(crate) struct GuardedIo<S> {
    socket: S,
    state: Arc<ConnectionState>,
    timeouts: Timeouts,
    /// Runs until the first request is there.
    head: Option<Pin<Box<Sleep>>>,
    stall: Timer,
    closing: Closing,
}

enum Closing {
    Open,
    Lingering { until: Pin<Box<Sleep>>, bytes_left: usize },
    Closed,
}

impl<S> GuardedIo<S> {
    pub(crate) fn new(socket: S, state: Arc<ConnectionState>, timeouts: Timeouts) -> Self {
        let head = Some(Box::pin(sleep(timeouts.head)));
        let stall = Timer::new(timeouts.idle);
        Self { socket, state, timeouts, head, stall, closing: Closing::Open }
    }

    /// Passes on the result of a write, or gives up if the client has not taken anything for too long.
    fn limit_write<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall.disarm();
            return written;
        }
        ready!(self.stall.poll_elapsed(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl<S: AsyncRead + Unpin> GuardedIo<S> {
    /// Reads and throws away until the client is done, the time is over or it was enough.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 16 * 1024];
        let Closing::Lingering { until, bytes_left } = &mut self.closing else { return Poll::Ready(()) };
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(()),
                Poll::Ready(Ok(())) => match bytes_left.checked_sub(buffer.filled().len()) {
                    Some(left) => *bytes_left = left,
                    None => return Poll::Ready(()),
                },
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return until.as_mut().poll(cx),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.state.settled.store(false, Ordering::Relaxed);
        }
        if self.head.is_some() && self.state.served.load(Ordering::Relaxed) {
            self.head = None;
        }
        match (&read, &mut self.head) {
            (Poll::Pending, Some(head)) => {
                ready!(head.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request came")))
            }
            _ => read,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for GuardedIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.limit_write(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.limit_write(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.limit_write(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.closing, Closing::Open) {
            let shut = Pin::new(&mut self.socket).poll_shutdown(cx);
            ready!(self.limit_write(shut, cx))?;
            let settled = self.state.settled.load(Ordering::Relaxed);
            self.closing = if settled {
                Closing::Closed
            } else {
                let until = Box::pin(sleep(self.timeouts.linger));
                Closing::Lingering { until, bytes_left: LINGER_BYTES_MAX }
            };
        }
        ready!(self.poll_linger(cx));
        self.closing = Closing::Closed;
        Poll::Ready(Ok(()))
    }
}

/// A limit on waiting that costs nothing while nobody waits.
pub(crate) struct Timer {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl Timer {
    pub(crate) const fn new(limit: Duration) -> Self {
        Self { limit, sleep: None, armed: false }
    }

    /// Something happened: the next wait starts anew.
    pub(crate) const fn disarm(&mut self) {
        self.armed = false;
    }

    /// Ready when this has been called for longer than the limit without [`Timer::disarm`] between.
    pub(crate) fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.armed {
            sleep.as_mut().reset(Instant::now() + limit);
            self.armed = true;
        }
        sleep.as_mut().poll(cx)
    }
}
