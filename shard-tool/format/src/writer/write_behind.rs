//! A file that goes to disk while it is written, so that little is left to wait for at its end. A thread of its own waits for the
//! disk meanwhile.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes after which the disk is asked to take them.
const CHUNK_BYTES: u64 = 8 << 20;

pub(super) struct WriteBehind {
    file: File,
    /// Bytes since the disk was asked last.
    num_bytes: u64,
    syncer: Option<Syncer>,
}

/// A thread that ends with this.
struct Syncer {
    requests: Option<SyncSender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl WriteBehind {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            num_bytes: 0,
            syncer: None,
        }
    }

    /// Waits until all is on disk; the size of the file.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        // The system tells of a failure once, so here or below.
        self.syncer
            .take()
            .map_or(Ok(()), |mut syncer| syncer.join())?;
        self.file.sync_all()?;
        Ok(self.file.metadata()?.len())
    }

    fn ask_to_sync(&mut self) -> io::Result<()> {
        let syncer = match &self.syncer {
            Some(syncer) => syncer,
            None => self.syncer.insert(Syncer::start(self.file.try_clone()?)?),
        };
        if let Some(requests) = &syncer.requests {
            // With one request waiting, another says nothing new.
            let _ = requests.try_send(());
        }
        Ok(())
    }
}

impl Write for WriteBehind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let num_written = self.file.write(bytes)?;
        self.num_bytes += num_written as u64;
        if self.num_bytes >= CHUNK_BYTES {
            self.num_bytes = 0;
            self.ask_to_sync()?;
        }
        Ok(num_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Syncer {
    fn start(file: File) -> io::Result<Self> {
        let (requests, wanted) = sync_channel(1);
        let sync_while_asked = move || wanted.into_iter().try_for_each(|()| file.sync_data());
        let thread = thread::Builder::new()
            .name("sync".to_owned())
            .spawn(sync_while_asked)?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
        })
    }

    /// Waits for the disk to have all that was asked for.
    fn join(&mut self) -> io::Result<()> {
        self.requests = None;
        let ended = self.thread.take().map(JoinHandle::join);
        ended.map_or(Ok(()), |ended| ended.expect("it does not panic"))
    }
}

impl Drop for Syncer {
    /// The file is closed then, so that removing it gives its space back.
    fn drop(&mut self) {
        drop(self.join());
    }
}
