//! Operands that a kernel reads from a texture, see [`super::reads`].

use std::collections::HashMap;
use std::sync::Mutex;

use super::device::{BindingRange, Gpu};
use super::fault::{lock, typed};
use crate::Result;

/// Texels in a row of such a texture. A row's bytes are a multiple of the 256 that copies ask for, and the 4,096 rows
/// that any adapter has hold the largest binding.
pub(super) const TEXELS_PER_ROW: u64 = 4096;

/// Four floats.
const BYTES: u64 = 16;

/// Textures by binding and rows. A queue runs its work in order, so all passes share them.
#[derive(Default)]
pub(super) struct Textures(Mutex<HashMap<(usize, u32), (wgpu::Texture, wgpu::TextureView)>>);

/// A copy of a range into a texture, made before the pass that reads it there.
pub(super) struct Load {
    from: BindingRange,
    texture: wgpu::Texture,
    pub(super) view: wgpu::TextureView,
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

impl Gpu {
    /// How the operand of a binding gets into its texture, which is created if there is none of its size.
    ///
    /// # Errors
    /// No memory left.
    pub(super) fn texel_load(&self, binding: usize, from: &BindingRange) -> Result<Load> {
        // Few sizes, so that there are few textures.
        let rows = (from.size / BYTES).div_ceil(TEXELS_PER_ROW).next_power_of_two() as u32;
        let mut textures = lock(&self.0.textures.0);
        let from = from.clone();
        if let Some((texture, view)) = textures.get(&(binding, rows)).cloned() {
            return Ok(Load { from, texture, view });
        }
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
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(typed(&e, label));
        }
        self.0.took(bytes);
        let view = texture.create_view(&Default::default());
        textures.insert((binding, rows), (texture.clone(), view.clone()));
        Ok(Load { from, texture, view })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
