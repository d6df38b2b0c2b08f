//! Images on disk become pixels in memory.
//!
//! ```text
//! --data SPEC -> DataSpec -> Dataset (which images, train or test, normal or anomalous, masks)
//!   -> load or stream -> Pixels [N, H, W, C] u8 -> mean and deviation, fingerprint
//!      large images -> tiles (Grid) of one size; maps of tiles -> map of the image (Blend)
//! check: the same images, examined instead of loaded.    synth: images made, with their masks.
//! ```

mod binary;
mod bytes;
pub mod check;
mod dataset;
mod decode;
mod folder;
mod load;
mod mat;
mod pixels;
mod raster;
mod spec;
mod stream;
mod svhn;
pub mod synth;
#[cfg(test)]
mod testing;
mod tiles;

pub use binary::Records;
pub use bytes::Bytes;
pub use dataset::{Dataset, DatasetOptions, Index, Layout, Sample, Source, Split};
pub use decode::{DEFAULT_MAX_PIXELS, Decoded, decode_file};
pub use load::{LoadOptions, Loaded, Masks, Progress, load, load_masks, set_is_grey};
pub use pixels::{ChannelStats, Pixels, fingerprint};
pub use raster::Raster;
pub use spec::{DataSpec, Format};
pub use stream::{Chunk, stream};
pub use tiles::{Blend, Grid, Tiling};
