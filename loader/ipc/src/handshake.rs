//! How the two sides meet: a Unix socket to find each other, then ipc-channel for everything that is said.
//!
//! On the socket, in this order: both send [`Hello`]; the daemon sends the name of a one-shot ipc-channel server (a socket in a
//! 0700 folder); the subscriber connects to it and sends its two channel ends. Later the daemon passes the segments'
//! descriptors, and that of a card's memory, over the same socket, which stays open as the sign of life.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::error::IpcError;
use crate::limits;
use crate::liveness;
use crate::message::{Reply, Request};
use crate::reason::{ErrorKind, Reason};

/// Version of the protocol; both sides must have the same.
pub const PROTOCOL_VERSION: u32 = 7;
const MAGIC: [u8; 8] = *b"sslight\n";
/// Longest name or reason that is read.
const MAX_TEXT: usize = 4096;
/// Most descriptors that are passed at once: two segments and the card's memory.
const MAX_DESCRIPTORS: usize = 3;
/// How long a peer may take for its part of the handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may take to be turned away; whoever comes next waits for it.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The subscriber's channel ends, sent to the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    replies: IpcSender<Reply>,
    requests: IpcReceiver<Request>,
}

/// What the subscriber keeps: requests out, replies in.
pub(crate) type Channels = (IpcSender<Request>, IpcReceiver<Reply>);

/// Subscriber: meets the daemon at `socket`.
pub(crate) fn connect(
    socket: &Path,
    timeout: Duration,
) -> Result<(UnixStream, Channels), IpcError> {
    limits::check_socket_path(socket)?;
    let mut stream = UnixStream::connect(socket).map_err(|error| no_daemon(socket, error))?;
    limits::check_descriptors(&stream)?;
    set_timeouts(&stream, timeout)?;
    exchange_hello(&mut stream)?;
    let name = read_text(&mut stream)?;
    if name.is_empty() {
        let reason = read_text(&mut stream)?;
        // Before there is a channel it comes as one text.
        let reason = Reason::new(ErrorKind::Resources, reason, "", "");
        return Err(IpcError::Refused(reason));
    }
    let channels =
        offer_endpoints(name).map_err(IpcError::io("cannot open the control channel"))?;
    Ok((stream, channels))
}

/// Daemon: greets a subscriber that has just connected.
pub(crate) fn accept(
    stream: &mut UnixStream,
) -> Result<(IpcSender<Reply>, IpcReceiver<Request>), IpcError> {
    set_timeouts(stream, HANDSHAKE_TIMEOUT)?;
    exchange_hello(stream)?;
    let (name, coming) = match expect_endpoints(stream) {
        Ok(expected) => expected,
        Err(error) => {
            // A peer that is gone needs no reason.
            let _ = write_refusal(stream, &error);
            return Err(error);
        }
    };
    let sent = write_text(stream, &name).map_err(broken);
    let endpoints = sent.and_then(|()| wait_for(&coming));
    if endpoints.is_err() {
        // Ends the thread that still waits.
        drop(IpcSender::<Endpoints>::connect(name));
    }
    endpoints.map(|endpoints| (endpoints.replies, endpoints.requests))
}

/// Daemon: tells a subscriber that has just connected why there is no place for it.
pub(crate) fn turn_away(mut stream: UnixStream, error: &IpcError) {
    let told = set_timeouts(&stream, REFUSAL_TIMEOUT)
        .and_then(|()| exchange_hello(&mut stream))
        .and_then(|()| write_refusal(&mut stream, error).map_err(broken));
    // It may be gone, or no subscriber at all; it is turned away in any case.
    drop(told);
}

/// Daemon: passes the segments' descriptors.
pub(crate) fn send_descriptors(stream: &UnixStream, fds: &[OwnedFd]) -> Result<(), IpcError> {
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let mut space =
        [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(
        control.push(SendAncillaryMessage::ScmRights(&borrowed)),
        "room for all descriptors"
    );
    sendmsg(
        stream,
        &[io::IoSlice::new(b"F")],
        &mut control,
        SendFlags::NOSIGNAL,
    )
    .map(|_| ())
    .map_err(|e| IpcError::io("cannot pass the segments to the subscriber")(e.into()))
}

/// Subscriber: receives `NUM` descriptors.
pub(crate) fn receive_descriptors<const NUM: usize>(
    stream: &UnixStream,
) -> Result<[OwnedFd; NUM], IpcError> {
    let mut space =
        [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let failed = |errno: Errno| IpcError::io("the loader did not pass its segments")(errno.into());
    let received = recvmsg(
        stream,
        &mut [io::IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .map_err(failed)?;
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(failed(Errno::MFILE));
    }
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    <[OwnedFd; NUM]>::try_from(fds).map_err(|fds| IpcError::Corrupt {
        what: format!("{} descriptors where {NUM} were due", fds.len()),
    })
}

fn hello() -> [u8; 12] {
    let mut hello = [0; 12];
    hello[..8].copy_from_slice(&MAGIC);
    hello[8..].copy_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    hello
}

fn exchange_hello(stream: &mut UnixStream) -> Result<(), IpcError> {
    // Whoever greets and hangs up at once is still told by the greeting.
    let sent = stream.write_all(&hello()).map_err(broken);
    let mut theirs = [0; 12];
    stream.read_exact(&mut theirs).map_err(broken)?;
    if theirs[..8] != MAGIC {
        return Err(IpcError::NotAPeer {
            what: format!("it greets with {:?}", &theirs[..8]),
        });
    }
    let version = u32::from_le_bytes([theirs[8], theirs[9], theirs[10], theirs[11]]);
    if version != PROTOCOL_VERSION {
        return Err(IpcError::Version {
            ours: PROTOCOL_VERSION,
            theirs: version,
            pid: liveness::peer_pid(stream)?,
        });
    }
    sent
}

fn write_text(stream: &mut UnixStream, text: &str) -> io::Result<()> {
    stream.write_all(&(text.len() as u32).to_le_bytes())?;
    stream.write_all(text.as_bytes())
}

fn write_refusal(stream: &mut UnixStream, error: &IpcError) -> io::Result<()> {
    write_text(stream, "")?;
    write_text(stream, &error.to_string())
}

fn read_text(stream: &mut UnixStream) -> Result<String, IpcError> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).map_err(broken)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_TEXT {
        return Err(IpcError::NotAPeer {
            what: format!("a channel name of {len} bytes"),
        });
    }
    let mut text = vec![0; len];
    stream.read_exact(&mut text).map_err(broken)?;
    String::from_utf8(text).map_err(|_| IpcError::NotAPeer {
        what: "a channel name that is no text".into(),
    })
}

fn offer_endpoints(name: String) -> io::Result<Channels> {
    let (request_sender, requests) = ipc::channel()?;
    let (replies, reply_receiver) = ipc::channel()?;
    let server = IpcSender::connect(name)?;
    server
        .send(Endpoints { replies, requests })
        .map_err(io::Error::other)?;
    Ok((request_sender, reply_receiver))
}

/// The name of a server for the subscriber's endpoints, and where they will come. ipc-channel's `accept` has no deadline, so it runs on a
/// thread of its own.
fn expect_endpoints(
    stream: &UnixStream,
) -> Result<(String, Receiver<io::Result<Endpoints>>), IpcError> {
    limits::check_channel_folder(&tempfile::env::temp_dir())?;
    limits::check_descriptors(stream)?;
    let (server, name) = IpcOneShotServer::<Endpoints>::new()
        .map_err(IpcError::io("cannot open the control channel"))?;
    let (sender, coming) = mpsc::channel();
    let accepting = move || {
        let accepted = server.accept().map(|(_, endpoints)| endpoints);
        // The receiver may have given up; then nobody wants the answer.
        let _ = sender.send(accepted.map_err(io::Error::other));
    };
    std::thread::Builder::new()
        .name("handshake".into())
        .spawn(accepting)
        .map_err(IpcError::no_thread("a handshake"))?;
    Ok((name, coming))
}

fn wait_for(coming: &Receiver<io::Result<Endpoints>>) -> Result<Endpoints, IpcError> {
    let what = match coming.recv_timeout(HANDSHAKE_TIMEOUT) {
        Ok(Ok(endpoints)) => return Ok(endpoints),
        Ok(Err(error)) => format!("no control channel: {error}"),
        Err(_) => format!("no control channel within {HANDSHAKE_TIMEOUT:?}"),
    };
    Err(IpcError::NotAPeer { what })
}

fn set_timeouts(stream: &UnixStream, timeout: Duration) -> Result<(), IpcError> {
    let timeout = Some(timeout.max(Duration::from_millis(1)));
    stream
        .set_read_timeout(timeout)
        .and_then(|()| stream.set_write_timeout(timeout))
        .map_err(IpcError::io("cannot set the socket's deadline"))
}

fn broken(error: io::Error) -> IpcError {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    let what = format!("the handshake broke off: {error}");
    match error.kind() {
        BrokenPipe | ConnectionReset | UnexpectedEof => IpcError::HungUp { what },
        _ => IpcError::NotAPeer { what },
    }
}

fn no_daemon(socket: &Path, error: io::Error) -> IpcError {
    let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
    if nobody.contains(&error.kind()) {
        return IpcError::NoDaemon {
            socket: socket.to_owned(),
        };
    }
    IpcError::BadSocket {
        socket: socket.to_owned(),
        what: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_greets_and_hangs_up_is_judged_by_its_greeting() {
        let greeted = |greeting: &[u8; 12]| {
            let (mut ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(greeting).unwrap();
            drop(theirs);
            exchange_hello(&mut ours).unwrap_err()
        };
        let error = greeted(b"sslight\n\x4d\0\0\0");
        assert!(matches!(error, IpcError::Version { theirs: 77, .. }));
        let error = greeted(b"HTTP/1.1 400");
        assert!(matches!(error, IpcError::NotAPeer { .. }), "{error}");
        let error = greeted(&hello());
        assert!(matches!(error, IpcError::HungUp { .. }), "{error}");
    }
}
