//! Bodies: a request's with a limit on silence, read as a stream or whole; an answer's, watched.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use berth_registry::error::BodyError;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::{ConnectionState, Timer};

/// How many bytes of a body have been read.
pub(crate) type ByteCount = Arc<AtomicU64>;

/// A request's body as hyper gives it, with a limit on the client's silence.
pub(crate) struct RequestBody {
    incoming: Incoming,
    idle: Duration,
    timer: Timer,
    count: ByteCount,
    connection: Arc<ConnectionState>,
}

impl RequestBody {
    pub(crate) fn new(
        incoming: Incoming,
        idle: Duration,
        count: ByteCount,
        connection: Arc<ConnectionState>,
    ) -> Self {
        Self { incoming, idle, timer: Timer::new(idle), count, connection }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(self.timer.poll_elapsed(cx));
                return Poll::Ready(Some(Err(BodyError::Idle(self.idle.as_secs()))));
            }
        };
        self.timer.disarm();
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.count.fetch_add(bytes, Ordering::Relaxed);
            }
            None => self.connection.request_read(),
            Some(Err(_)) => {}
        }
        if self.incoming.is_end_stream() {
            self.connection.request_read();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::Disconnected(error.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A body as the registry reads it.
pub(crate) fn stream(body: Body) -> berth_registry::uploads::Body<'static> {
    Box::pin(body.into_data_stream().map_err(body_error))
}

/// A body as a whole.
///
/// # Errors
/// [`BodyError::TooLarge`] as soon as it is known that it has more than `bytes_max` bytes.
pub(crate) async fn read_whole(body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    let too_large = || BodyError::TooLarge(bytes_max as u64);
    if HttpBody::size_hint(&body).lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut chunks = stream(body);
    let Some(first) = chunks.next().await.transpose()? else { return Ok(Bytes::new()) };
    if first.len() > bytes_max {
        return Err(too_large());
    }
    let Some(second) = chunks.next().await.transpose()? else { return Ok(first) };
    let mut whole = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        if whole.len() + chunk.len() > bytes_max {
            return Err(too_large());
        }
        whole.extend_from_slice(&chunk);
        next = chunks.next().await.transpose()?;
    }
    Ok(whole.freeze())
}

/// The error that a [`RequestBody`] gave, out of the boxes that axum puts it in.
fn body_error(error: axum::Error) -> BodyError {
    let mut inner = error.into_inner();
    loop {
        inner = match inner.downcast::<axum::Error>() {
            Ok(boxed) => boxed.into_inner(),
            Err(inner) => match inner.downcast::<BodyError>() {
                Ok(error) => return *error,
                Err(other) => return BodyError::Disconnected(other),
            },
        };
    }
}

/// An answer's body, which tells `watcher` about every byte and, by dropping it, about its end.
pub(crate) struct WatchedBody<W> {
    body: Body,
    watcher: W,
}

/// Something that wants to know how many bytes of an answer were sent.
pub(crate) trait Watcher: Unpin {
    /// `bytes` more were handed to the connection.
    fn sent(&mut self, bytes: u64);
    /// The body broke off.
    fn failed(&mut self, error: &axum::Error);
}

impl<W> WatchedBody<W> {
    pub(crate) const fn new(body: Body, watcher: W) -> Self {
        Self { body, watcher }
    }
}

impl<W: Watcher> HttpBody for WatchedBody<W> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.watcher.sent(bytes);
            }
            Some(Err(error)) => self.watcher.failed(error),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(chunks: &[&'static str], bytes_max: usize) -> Result<Bytes, BodyError> {
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| Ok::<_, BodyError>(Bytes::from_static(chunk.as_bytes()))).collect();
        read_whole(Body::from_stream(futures_util::stream::iter(chunks)), bytes_max).await
    }

    #[tokio::test]
    async fn reads_up_to_its_limit() {
        assert_eq!(read(&[], 3).await.unwrap(), "");
        assert_eq!(read(&["abc"], 3).await.unwrap(), "abc");
        assert_eq!(read(&["a", "b", "c"], 3).await.unwrap(), "abc");
        for too_large in [&["abcd"][..], &["a", "bcd"], &["ab", "c", "d"]] {
            assert!(matches!(read(too_large, 3).await, Err(BodyError::TooLarge(3))), "{too_large:?}");
        }
        let known = Body::from("abcd");
        assert!(matches!(read_whole(known, 3).await, Err(BodyError::TooLarge(3))));
    }

    #[tokio::test]
    async fn keeps_the_error() {
        let broken = futures_util::stream::iter([Ok(Bytes::from_static(b"a")), Err(BodyError::Idle(60))]);
        assert!(matches!(read_whole(Body::from_stream(broken), 9).await, Err(BodyError::Idle(60))));
    }
}
