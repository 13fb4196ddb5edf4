//! The accept loop, the timers beside it, and the way out.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use berth_registry::Registry;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::http::connection::{ConnectionState, GuardedIo};
use crate::telemetry::chain;
use crate::{App, ServerOptions, dispatch, worker};

/// HTTP/2 streams of one connection served at once.
const STREAMS_MAX: u32 = 128;
/// How long to wait before accepting again when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What hyper may buffer of one HTTP/2 stream's answer. A client that gives no window holds this much per stream.
const STREAM_BUFFER_BYTES: usize = 128 * 1024;

/// Why the server stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener is of no use.
    #[error("cannot use the listening socket")]
    Listener(#[source] io::Error),
}

/// Serves `registry` on `listener` until `shutdown` completes; then lets requests in flight finish, for
/// [`ServerOptions::shutdown_deadline`] at most, and writes what was only noted in memory.
///
/// # Errors
/// [`ServeError`] if the listener cannot be used at all. What goes wrong with one connection ends that connection.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    options: ServerOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    let app = App::new(registry, options);
    tracing::info!(%address, "serving");
    let timers = start_timers(&app);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    tokio::select! {
        never = accept(&app, &listener, &graceful, &mut connections) => match never {},
        () = shutdown => {}
    }
    drop(listener);
    drop(timers);
    finish(&app, graceful, connections).await;
    Ok(())
}

async fn accept(
    app: &Arc<App>,
    listener: &TcpListener,
    graceful: &GracefulShutdown,
    connections: &mut JoinSet<()>,
) -> Infallible {
    let slots = Arc::new(Semaphore::new(app.options.connections_max));
    let builder = Arc::new(builder(app));
    loop {
        // The semaphore is never closed; without a permit the connection would only be uncounted.
        let slot = Arc::clone(&slots).acquire_owned().await.ok();
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot accept connections for the moment");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let watcher = graceful.watcher();
        let (app, builder) = (Arc::clone(app), Arc::clone(&builder));
        connections.spawn(async move {
            let _slot = slot;
            let _counted = Counted::new(&app.metrics.connections);
            let served = connection(app, &builder, socket, watcher).await;
            if let Err(error) = served {
                tracing::debug!(error = chain(&*error), "connection ended early");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Counts as one while it lives, whatever ends it.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn connection(
    app: Arc<App>,
    builder: &Builder<TokioExecutor>,
    socket: TcpStream,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    socket.set_nodelay(true)?;
    let state = Arc::new(ConnectionState::default());
    let guarded = GuardedIo::new(socket, Arc::clone(&state), app.options.timeouts);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (app, state) = (Arc::clone(&app), Arc::clone(&state));
        async move { Ok::<_, Infallible>(dispatch::handle(app, state, request).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(guarded), service).into_owned();
    watcher.watch(connection).await
}

fn builder(app: &App) -> Builder<TokioExecutor> {
    let timeouts = &app.options.timeouts;
    let mut builder = Builder::new(TokioExecutor::new());
    // The buffer holds a request's head whole, so its size is the limit of the head; larger ones are answered 431.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.head)
        .max_buf_size(berth_types::limits::HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(berth_types::limits::HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS_MAX)
        .adaptive_window(true)
        .max_send_buf_size(STREAM_BUFFER_BYTES)
        .keep_alive_interval(timeouts.head)
        .keep_alive_timeout(timeouts.head);
    builder
}

/// Whether the error is of a connection that was gone before it was accepted, rather than of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Work that is due by time, not by request. Dropping the set stops it.
fn start_timers(app: &Arc<App>) -> JoinSet<()> {
    let mut timers = JoinSet::new();
    let expiry = Arc::clone(app);
    timers.spawn(async move {
        let mut ticks = ticks(expiry.options.upload_expiry_interval);
        loop {
            ticks.tick().await;
            match expiry.registry.expire_uploads().await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "forgot uploads that nobody went on with"),
                Err(error) => tracing::warn!(error = chain(&error), "cannot expire uploads"),
            }
        }
    });
    let pulls = Arc::clone(app);
    timers.spawn(async move {
        let mut ticks = ticks(pulls.options.pull_flush_interval);
        loop {
            ticks.tick().await;
            flush_pulls(&pulls).await;
        }
    });
    timers.spawn(worker::collect(Arc::clone(app)));
    timers.spawn(worker::run_lifecycle(Arc::clone(app)));
    timers
}

/// How soon after the start what is due by time is looked at for the first time, whatever the interval: a server that is
/// started often must not put it off for ever.
const FIRST_TICK_MAX: Duration = Duration::from_secs(5);

/// Ticks that do not pile up.
pub(crate) fn ticks(interval: Duration) -> tokio::time::Interval {
    let first = tokio::time::Instant::now() + interval.min(FIRST_TICK_MAX);
    let mut ticks = tokio::time::interval_at(first, interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

async fn flush_pulls(app: &App) {
    if let Err(error) = app.registry.flush_pulls().await {
        tracing::warn!(error = chain(&error), "cannot write pull times");
    }
}

async fn finish(app: &App, graceful: GracefulShutdown, mut connections: JoinSet<()>) {
    let deadline = app.options.shutdown_deadline;
    tracing::info!(connections = app.metrics.connections.get(), "shutting down");
    if tokio::time::timeout(deadline, graceful.shutdown()).await.is_err() {
        let requests = app.metrics.in_flight.get();
        tracing::warn!(requests, "cutting off what was not done after {} s", deadline.as_secs());
    }
    connections.shutdown().await;
    flush_pulls(app).await;
}
