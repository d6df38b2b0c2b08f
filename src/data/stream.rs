//! Images of a set too large for memory, some at a time.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::dataset::Sample;
use super::load::{LoadOptions, Loaded, load};
use crate::Result;

/// Some consecutive samples of a stream.
#[derive(Debug)]
pub struct Chunk {
    /// Which of the samples `loaded.kept[i] = 0` refers to.
    pub start: usize,
    /// The images.
    pub loaded: Loaded,
}

/// Loads `samples` in order, `chunk` at a time, on a thread of its own that is at most two chunks
/// ahead: for sets that do not fit in memory. The first error ends the stream.
pub fn stream(
    samples: Vec<Sample>,
    options: LoadOptions,
    chunk: usize,
) -> impl Iterator<Item = Result<Chunk>> {
    let chunk = chunk.max(1);
    let (sender, receiver): (_, Receiver<Result<Chunk>>) = sync_channel(1);
    thread::spawn(move || {
        for (number, part) in samples.chunks(chunk).enumerate() {
            let loaded = load(part, &options, &|_, _| {});
            let failed = loaded.is_err();
            let item = loaded.map(|loaded| Chunk { start: number * chunk, loaded });
            // The receiver is gone when nobody wants more.
            if sender.send(item).is_err() || failed {
                return;
            }
        }
    });
    receiver.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{numbered, quiet};

    #[test]
    fn a_stream_gives_what_load_gives() {
        let (_dir, samples) = numbered(10, true);
        let options = LoadOptions { skip_bad: true, ..LoadOptions::new(4, 4, 1) };
        let whole = load(&samples, &options, &quiet).unwrap();
        let (mut bytes, mut kept) = (Vec::new(), Vec::new());
        for chunk in stream(samples.clone(), options, 4) {
            let Chunk { start, loaded } = chunk.unwrap();
            bytes.extend_from_slice(&loaded.pixels.bytes);
            kept.extend(loaded.kept.iter().map(|index| start + index));
        }
        assert_eq!((&bytes[..], kept), (&whole.pixels.bytes[..], whole.kept));

        let strict = LoadOptions { skip_bad: false, ..options };
        let results: Vec<_> = stream(samples, strict, 2).collect();
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
    }
}
