//! Operands that a kernel reads from a texture, see [`super::reads`].

use std::cmp::Reverse;
use std::sync::Mutex;

use super::device::{BindingRange, Gpu, Pass, RangeId};
use super::fault::{lock, typed};
use super::shader::Kernel;
use crate::Result;

/// Texels in a row of such a texture. A row's bytes are a multiple of the 256 that copies ask for, and the 4,096 rows
/// that any adapter has hold the largest binding.
pub(super) const TEXELS_PER_ROW: u64 = 4096;

/// Four floats.
const BYTES: u64 = 16;

/// Most bytes of an operand that is copied: the textures for the maps of a large batch would take as much memory as a
/// third of its step.
const MOST_BYTES: u64 = 16 << 20;

/// How many textures there may be beside those that one kernel needs, each as large as the second largest of these: what
/// is copied once serves all kernels that read it in turn, such as the map that a convolution takes chunk by chunk.
const SPARE: usize = 2;

/// The textures of a device. A queue runs its work in order, so all passes share them.
#[derive(Default)]
pub(super) struct Textures(Mutex<Pool>);

#[derive(Default)]
struct Pool {
    textures: Vec<Texture>,
    /// What they hold when passes run in the order in which they are made: textures are chosen by it, and no more, since
    /// buffers may be gone by now.
    contents: Contents,
    /// Loads so far.
    clock: u64,
}

struct Texture {
    rows: u32,
    texture: wgpu::Texture,
    view: wgpu::TextureView,
    /// When it was last read.
    read: u64,
}

/// An operand that a pass reads in a texture.
pub(super) struct Load {
    from: BindingRange,
    /// Its place in the pool.
    place: usize,
    texture: wgpu::Texture,
    pub(super) view: wgpu::TextureView,
}

/// The range that each texture holds a copy of.
#[derive(Default)]
struct Contents(Vec<Option<RangeId>>);

impl Contents {
    fn hold(&self, place: usize, range: RangeId) -> bool {
        self.0.get(place) == Some(&Some(range))
    }

    fn put(&mut self, place: usize, range: RangeId) {
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        self.0[place] = Some(range);
    }

    /// Copies of what is written are of no use any more.
    fn written(&mut self, range: RangeId) {
        for held in &mut self.0 {
            *held = held.filter(|held| !held.overlaps(range));
        }
    }
}

/// The passes, each with the operands that have to be copied before it when they run one after another.
pub(super) fn due(passes: &[Pass]) -> impl Iterator<Item = (&Pass, Vec<&Load>)> {
    let mut contents = Contents::default();
    passes.iter().map(move |pass| {
        let missing = |load: &&Load| !contents.hold(load.place, load.from.id());
        let due: Vec<&Load> = pass.loads().iter().filter(missing).collect();
        due.iter().for_each(|load| contents.put(load.place, load.from.id()));
        pass.written().for_each(|range| contents.written(range.id()));
        (pass, due)
    })
}

/// Rows that so many bytes fill.
fn rows_of(bytes: u64) -> u32 {
    (bytes / BYTES).div_ceil(TEXELS_PER_ROW) as u32
}

impl Load {
    pub(super) fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let bytes_per_row = TEXELS_PER_ROW * BYTES;
        for [row, width, height] in parts(self.from.size / BYTES) {
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo {
                    buffer: self.from.buffer.raw(),
                    layout: wgpu::TexelCopyBufferLayout {
                        offset: self.from.offset + row * bytes_per_row,
                        bytes_per_row: Some(bytes_per_row as u32),
                        rows_per_image: None,
                    },
                },
                wgpu::TexelCopyTextureInfo {
                    origin: wgpu::Origin3d { x: 0, y: row as u32, z: 0 },
                    ..self.texture.as_image_copy()
                },
                wgpu::Extent3d {
                    width: width as u32,
                    height: height as u32,
                    depth_or_array_layers: 1,
                },
            );
        }
    }
}

/// First row, width and height of the rectangles that so many texels fill: whole rows, then what is left.
fn parts(texels: u64) -> impl Iterator<Item = [u64; 3]> {
    let (rows, rest) = (texels / TEXELS_PER_ROW, texels % TEXELS_PER_ROW);
    let all = [[0, TEXELS_PER_ROW, rows], [rows, rest, 1]];
    all.into_iter().filter(|[_, width, height]| width * height > 0)
}

impl Pool {
    /// Where a pass finds `from`: where it is already, or else in the texture that has not been read for longest, of
    /// those that are large enough; what fills less than a row, as channels do, does not take the place of maps if
    /// there is another. `taken`: those in which the pass finds other operands.
    fn place(&self, from: &BindingRange, taken: &[usize]) -> Option<usize> {
        let needed = rows_of(from.size);
        let fits = |at: &usize| self.textures[*at].rows >= needed && !taken.contains(at);
        (0..self.textures.len()).filter(fits).min_by_key(|at| {
            let Texture { rows, read, .. } = self.textures[*at];
            (!self.contents.hold(*at, from.id()), rows.min(2) > needed, read)
        })
    }
}

impl Gpu {
    /// The kernel, with those of these storage bindings in buffers that are too large for textures.
    ///
    /// # Errors
    /// An import of the shader that does not exist.
    pub(crate) fn suited(
        &self,
        kernel: &Kernel,
        storage: &[(BindingRange, bool)],
    ) -> Result<Kernel> {
        let texels = self.0.dialect.texels;
        let is_large = |i: &usize| storage[*i].0.size > MOST_BYTES;
        let large: u32 = (0..storage.len()).filter(is_large).map(|i| 1 << i).sum();
        let in_buffers = match large {
            0 => 0,
            large => large & kernel.shader.texel_bits(texels)?,
        };
        Ok(Kernel { in_buffers, ..kernel.clone() })
    }

    /// Makes textures for passes of which each reads operands of so many bytes in them.
    ///
    /// # Errors
    /// No memory left.
    pub(crate) fn reserve_texels(&self, passes: impl IntoIterator<Item = Vec<u64>>) -> Result<()> {
        // The largest of any pass, the largest second one, and so on.
        let mut needs: Vec<u32> = Vec::new();
        for mut sizes in passes {
            sizes.sort_unstable_by_key(|bytes| Reverse(*bytes));
            needs.resize(needs.len().max(sizes.len()), 0);
            needs.iter_mut().zip(sizes).for_each(|(need, bytes)| *need = rows_of(bytes).max(*need));
        }
        let mut pool = lock(&self.0.textures.0);
        self.extend(&mut pool, &needs)?;
        if let Some(&second) = needs.get(1) {
            needs.splice(1..1, [second; SPARE]);
            // Where there is no memory for them, more is copied.
            self.extend(&mut pool, &needs).ok();
        }
        Ok(())
    }

    /// Adds textures until the largest, the second largest and so on have as many rows as asked, in falling order.
    fn extend(&self, pool: &mut Pool, needs: &[u32]) -> Result<()> {
        let mut rows: Vec<u32> = pool.textures.iter().map(|t| t.rows).collect();
        for (k, need) in needs.iter().enumerate() {
            rows.sort_unstable_by_key(|rows| Reverse(*rows));
            if rows.get(k).is_none_or(|rows| rows < need) {
                pool.textures.push(self.texture(*need)?);
                rows.push(*need);
            }
        }
        Ok(())
    }

    /// How a pass gets the operands that it reads in textures, which are created if none is large enough and free.
    /// `written`: what the pass writes.
    ///
    /// # Errors
    /// No memory left.
    pub(super) fn texel_loads<'a>(
        &self,
        operands: &[Option<&BindingRange>],
        written: impl Iterator<Item = &'a BindingRange>,
    ) -> Result<Vec<Option<Load>>> {
        let mut loads: Vec<Option<Load>> = operands.iter().map(|_| None).collect();
        let mut order: Vec<(usize, &BindingRange)> =
            operands.iter().enumerate().filter_map(|(i, o)| Some((i, (*o)?))).collect();
        // The largest first: a small one must not take its texture.
        order.sort_by_key(|(_, range)| Reverse(range.size));
        let mut pool = lock(&self.0.textures.0);
        let mut taken = Vec::new();
        for (i, from) in order {
            let place = match pool.place(from, &taken) {
                Some(place) => place,
                None => {
                    pool.textures.push(self.texture(rows_of(from.size))?);
                    pool.textures.len() - 1
                }
            };
            taken.push(place);
            pool.clock += 1;
            pool.textures[place].read = pool.clock;
            pool.contents.put(place, from.id());
            let Texture { texture, view, .. } = &pool.textures[place];
            let (texture, view) = (texture.clone(), view.clone());
            loads[i] = Some(Load { from: from.clone(), place, texture, view });
        }
        written.for_each(|range| pool.contents.written(range.id()));
        Ok(loads)
    }

    fn texture(&self, rows: u32) -> Result<Texture> {
        let label = "operands read as texels";
        let bytes = TEXELS_PER_ROW * BYTES * u64::from(rows);
        self.within_budget(label, bytes)?;
        let scope = self.0.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let texture = self.0.device.create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d {
                width: TEXELS_PER_ROW as u32,
                height: rows,
                depth_or_array_layers: 1,
            },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba32Float,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(typed(&e, label));
        }
        self.0.took(bytes);
        let view = texture.create_view(&Default::default());
        Ok(Texture { rows, texture, view, read: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_lasts_until_something_of_its_range_is_written() {
        let range = |buffer, start, end| RangeId { buffer, start, end };
        let mut contents = Contents::default();
        contents.put(1, range(7, 256, 512));
        assert!(contents.hold(1, range(7, 256, 512)) && !contents.hold(0, range(7, 256, 512)));
        assert!(!contents.hold(1, range(7, 256, 768)) && !contents.hold(1, range(8, 256, 512)));
        for other in [range(8, 0, 1024), range(7, 0, 256), range(7, 512, 1024)] {
            contents.written(other);
            assert!(contents.hold(1, range(7, 256, 512)));
        }
        for overlapping in [range(7, 0, 260), range(7, 508, 512), range(7, 256, 512)] {
            contents.put(1, range(7, 256, 512));
            contents.written(overlapping);
            assert!(!contents.hold(1, range(7, 256, 512)));
        }
    }

    #[test]
    fn parts_hold_every_texel_once() {
        let found = |texels| parts(texels).collect::<Vec<_>>();
        assert_eq!(found(0), Vec::<[u64; 3]>::new());
        assert_eq!(found(1), [[0, 1, 1]]);
        assert_eq!(found(2 * TEXELS_PER_ROW), [[0, TEXELS_PER_ROW, 2]]);
        assert_eq!(
            found(3 * TEXELS_PER_ROW - 1),
            [[0, TEXELS_PER_ROW, 2], [2, TEXELS_PER_ROW - 1, 1]]
        );
    }
}
