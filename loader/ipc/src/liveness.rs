//! Is the other process still there? The kernel closes a dead process's socket, so the socket tells.

use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;

use crate::error::IpcError;

/// Process id of the peer, as the kernel recorded it when the connection was made.
pub(crate) fn peer_pid(stream: &UnixStream) -> Result<i32, IpcError> {
    let credentials = socket_peercred(stream)
        .map_err(|e| IpcError::io("cannot learn who the peer is")(e.into()))?;
    Ok(credentials.pid.as_raw_nonzero().get())
}

/// User id of the peer.
pub(crate) fn peer_uid(stream: &UnixStream) -> Result<u32, IpcError> {
    let credentials = socket_peercred(stream)
        .map_err(|e| IpcError::io("cannot learn who the peer is")(e.into()))?;
    Ok(credentials.uid.as_raw())
}

/// True once the peer closed its end or died.
pub(crate) fn is_closed(stream: &UnixStream) -> bool {
    let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let closed = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    poll(&mut fds, Some(&now)).is_ok_and(|_| fds[0].revents().intersects(closed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_peer_is_seen_and_a_silent_one_is_not() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!is_closed(&ours));
        assert_eq!(peer_pid(&ours).unwrap(), std::process::id() as i32);
        drop(theirs);
        assert!(is_closed(&ours));
    }
}
