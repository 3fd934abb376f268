//! How the two sides meet: a Unix socket to find each other, then ipc-channel for everything that is said.
//!
//! On the socket, in this order: both send [`Hello`]; the daemon sends the name of a one-shot ipc-channel server (a socket in a
//! 0700 folder); the subscriber connects to it and sends its two channel ends. Later the daemon passes the segments'
//! descriptors over the same socket, which stays open as the sign of life.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::error::IpcError;
use crate::message::{Reply, Request};

/// Version of the protocol; both sides must have the same.
pub const PROTOCOL_VERSION: u32 = 2;
const MAGIC: [u8; 8] = *b"sslight\n";
const MAX_NAME: usize = 4096;
/// How long a peer may take for its part of the handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

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
    let mut stream = UnixStream::connect(socket).map_err(|error| no_daemon(socket, error))?;
    set_timeouts(&stream, timeout)?;
    exchange_hello(&mut stream)?;
    let name = read_name(&mut stream)?;
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
    let (server, name) = IpcOneShotServer::<Endpoints>::new()
        .map_err(IpcError::io("cannot open the control channel"))?;
    write_name(stream, &name).map_err(broken)?;
    let endpoints = accept_endpoints(server, name)?;
    Ok((endpoints.replies, endpoints.requests))
}

/// Daemon: passes the segments' descriptors.
pub(crate) fn send_descriptors(stream: &UnixStream, fds: &[OwnedFd; 2]) -> Result<(), IpcError> {
    let borrowed = [fds[0].as_fd(), fds[1].as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(
        control.push(SendAncillaryMessage::ScmRights(&borrowed)),
        "room for two descriptors"
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

/// Subscriber: receives the segments' descriptors.
pub(crate) fn receive_descriptors(stream: &UnixStream) -> Result<[OwnedFd; 2], IpcError> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(
        stream,
        &mut [io::IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .map_err(|e| IpcError::io("the loader did not pass its segments")(e.into()))?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    <[OwnedFd; 2]>::try_from(fds).map_err(|fds| IpcError::Corrupt {
        what: format!("{} descriptors where 2 were due", fds.len()),
    })
}

fn exchange_hello(stream: &mut UnixStream) -> Result<(), IpcError> {
    let mut hello = [0; 12];
    hello[..8].copy_from_slice(&MAGIC);
    hello[8..].copy_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    stream.write_all(&hello).map_err(broken)?;
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
        });
    }
    Ok(())
}

fn write_name(stream: &mut UnixStream, name: &str) -> io::Result<()> {
    stream.write_all(&(name.len() as u32).to_le_bytes())?;
    stream.write_all(name.as_bytes())
}

fn read_name(stream: &mut UnixStream) -> Result<String, IpcError> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).map_err(broken)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_NAME {
        return Err(IpcError::NotAPeer {
            what: format!("a channel name of {len} bytes"),
        });
    }
    let mut name = vec![0; len];
    stream.read_exact(&mut name).map_err(broken)?;
    String::from_utf8(name).map_err(|_| IpcError::NotAPeer {
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

/// Waits for the subscriber's endpoints. ipc-channel's `accept` has no deadline, so it runs on a thread of its own; when the
/// subscriber never comes, connecting to the server ourselves ends that thread.
fn accept_endpoints(
    server: IpcOneShotServer<Endpoints>,
    name: String,
) -> Result<Endpoints, IpcError> {
    let (sender, receiver) = mpsc::channel();
    let accepting = move || {
        // The receiver may have given up; then nobody wants the answer.
        let _ = sender.send(server.accept().map(|(_, endpoints)| endpoints));
    };
    std::thread::Builder::new()
        .name("handshake".into())
        .spawn(accepting)
        .map_err(IpcError::io("cannot start a thread"))?;
    match receiver.recv_timeout(HANDSHAKE_TIMEOUT) {
        Ok(Ok(endpoints)) => Ok(endpoints),
        Ok(Err(error)) => Err(IpcError::NotAPeer {
            what: format!("no control channel: {error}"),
        }),
        Err(_) => {
            drop(IpcSender::<Endpoints>::connect(name));
            Err(IpcError::NotAPeer {
                what: format!("no control channel within {HANDSHAKE_TIMEOUT:?}"),
            })
        }
    }
}

fn set_timeouts(stream: &UnixStream, timeout: Duration) -> Result<(), IpcError> {
    let timeout = Some(timeout.max(Duration::from_millis(1)));
    stream
        .set_read_timeout(timeout)
        .and_then(|()| stream.set_write_timeout(timeout))
        .map_err(IpcError::io("cannot set the socket's deadline"))
}

fn broken(error: io::Error) -> IpcError {
    IpcError::NotAPeer {
        what: format!("the handshake broke off: {error}"),
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
