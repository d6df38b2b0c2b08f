//! Large images as overlapping tiles: where each lies, and the map that theirs make together.
//!
//! Lengths are pixels of the original image unless they say otherwise.

/// How images are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// Pixels to a side of a tile; 0: images are not cut.
    pub side: usize,
    /// Pixels that neighbours share at least, below `side`.
    pub overlap: usize,
}

/// Cells of the longer side of a map, at most.
const MAX_MAP: usize = 4096;

/// One image in tiles. Each is at most as large as the image, so that an image smaller than a tile is a
/// tile itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    rows: Axis,
    columns: Axis,
}

/// The rows or the columns of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Axis {
    /// Of the image.
    length: usize,
    /// Of each tile.
    side: usize,
    /// Where each tile starts, rising.
    starts: Vec<usize>,
    /// Cells of a tile's map: pixels that the network sees.
    cells: usize,
    /// Cells of the image's map.
    map: usize,
}

/// The part of a tile that is a pixel of a map: between its cells `low` and `high`, `along` the way, and
/// what it counts for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Share {
    at: usize,
    low: usize,
    high: usize,
    along: f64,
    weight: f64,
}

impl Grid {
    /// An image of `size` `[height, width]` whose tiles the network sees at `seen` `[height, width]`;
    /// without a `tiling` it is one tile.
    ///
    /// The image's map has the resolution of its tiles' maps, but no more cells than the image has
    /// pixels where there are several tiles, and at most 4096 to a side.
    #[must_use]
    pub fn new(size: [usize; 2], seen: [usize; 2], tiling: Option<Tiling>) -> Self {
        let [mut rows, mut columns] = [0, 1].map(|i| Axis::new(size[i], seen[i], tiling));
        let longest = rows.map.max(columns.map);
        if longest > MAX_MAP && rows.starts.len() * columns.starts.len() > 1 {
            for axis in [&mut rows, &mut columns] {
                axis.map = rounded(axis.map, MAX_MAP, longest);
            }
        }
        Self { rows, columns }
    }

    /// Tiles, at least 1.
    #[must_use]
    pub fn tiles(&self) -> usize {
        self.rows.starts.len() * self.columns.starts.len()
    }

    /// `[top, left, height, width]` of a tile; row by row.
    ///
    /// # Panics
    /// When there is no such tile.
    #[must_use]
    pub fn tile(&self, index: usize) -> [usize; 4] {
        let (rows, columns) = (&self.rows, &self.columns);
        let (y, x) = (index / columns.starts.len(), index % columns.starts.len());
        [rows.starts[y], columns.starts[x], rows.side, columns.side]
    }

    /// `[height, width]` of the image's map, cells.
    #[must_use]
    pub fn map(&self) -> [usize; 2] {
        [self.rows.map, self.columns.map]
    }

    /// Puts the maps of all tiles together, `[height, width]` as the network sees them, in order. A tile's
    /// weight falls linearly to its borders across what it shares with the next, so that the whole is
    /// continuous; the weights of each cell sum to 1. Without overlap there is nothing to blend across.
    #[must_use]
    pub fn blend(&self) -> Blend<'_> {
        let [rows, columns] = [self.rows.shares(), self.columns.shares()];
        Blend {
            grid: self,
            rows,
            columns,
            next: 0,
            map: vec![0.0; self.rows.map * self.columns.map],
        }
    }
}

/// `value * to / from`, rounded, at least 1.
fn rounded(value: usize, to: usize, from: usize) -> usize {
    ((2 * value * to + from) / (2 * from)).max(1)
}

impl Axis {
    fn new(length: usize, cells: usize, tiling: Option<Tiling>) -> Self {
        let Some(Tiling { side, overlap }) = tiling.filter(|t| t.side > 0 && t.side < length)
        else {
            return Self { length, side: length, starts: vec![0], cells, map: cells };
        };
        // The fewest that share enough, spread evenly from border to border.
        let steps = (length - side).div_ceil(side.saturating_sub(overlap).max(1));
        let starts = (0..=steps).map(|i| i * (length - side) / steps).collect();
        let map = rounded(length, cells, side).min(length);
        Self { length, side, starts, cells, map }
    }

    /// What tile `index` counts for at `at`, before all are made to sum to 1.
    fn weight(&self, index: usize, at: f64) -> f64 {
        let (starts, side) = (&self.starts, self.side);
        let (start, end) = (starts[index], starts[index] + side);
        if !(start as f64..end as f64).contains(&at) {
            return 0.0;
        }
        // From a border inwards over what is shared there; nothing falls at the image's own borders.
        let ramp = |distance: f64, shared: usize| match shared {
            0 => 1.0,
            shared => (distance / shared as f64).min(1.0),
        };
        let before = index.checked_sub(1).map_or(0, |i| (starts[i] + side).saturating_sub(start));
        let after = starts.get(index + 1).map_or(0, |next| end.saturating_sub(*next));
        ramp(at - start as f64, before).min(ramp(end as f64 - at, after))
    }

    /// For each tile, the cells of the image's map that it takes part in.
    fn shares(&self) -> Vec<Vec<Share>> {
        let mut lists = vec![Vec::new(); self.starts.len()];
        for cell in 0..self.map {
            let at = (cell as f64 + 0.5) * self.length as f64 / self.map as f64;
            let weights: Vec<f64> = (0..lists.len()).map(|i| self.weight(i, at)).collect();
            let sum: f64 = weights.iter().sum();
            for (index, weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
                let place = (at - self.starts[index] as f64) / self.side as f64 * self.cells as f64;
                let place = (place - 0.5).clamp(0.0, (self.cells - 1) as f64);
                let low = place.floor() as usize;
                lists[index].push(Share {
                    at: cell,
                    low,
                    high: (low + 1).min(self.cells - 1),
                    along: place - low as f64,
                    weight: weight / sum,
                });
            }
        }
        lists
    }
}

/// Gathers the maps of an image's tiles.
pub struct Blend<'a> {
    grid: &'a Grid,
    rows: Vec<Vec<Share>>,
    columns: Vec<Vec<Share>>,
    next: usize,
    map: Vec<f32>,
}

impl Blend<'_> {
    /// Adds the map of the next tile.
    ///
    /// # Panics
    /// When there is no tile left, or the map has another size.
    pub fn add(&mut self, tile: &[f32]) {
        let (cells, width) = (self.grid.columns.cells, self.grid.columns.map);
        assert_eq!(tile.len(), self.grid.rows.cells * cells, "a tile's map");
        let (y, x) = (self.next / self.columns.len(), self.next % self.columns.len());
        self.next += 1;
        for row in &self.rows[y] {
            let (upper, lower) = (&tile[row.low * cells..], &tile[row.high * cells..]);
            let to = &mut self.map[row.at * width..][..width];
            for c in &self.columns[x] {
                let mix = |line: &[f32]| {
                    let (low, high) = (f64::from(line[c.low]), f64::from(line[c.high]));
                    low + (high - low) * c.along
                };
                let (upper, lower) = (mix(upper), mix(lower));
                let value = upper + (lower - upper) * row.along;
                to[c.at] += (row.weight * c.weight * value) as f32;
            }
        }
    }

    /// The image's map, [`Grid::map`].
    #[must_use]
    pub fn finish(self) -> Vec<f32> {
        debug_assert_eq!(self.next, self.grid.tiles());
        self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tiling(side: usize, overlap: usize) -> Option<Tiling> {
        Some(Tiling { side, overlap })
    }

    /// The map of tiles whose own maps are `heat(index, row, column)`.
    fn blended(grid: &Grid, heat: impl Fn(usize, usize, usize) -> f32) -> Vec<f32> {
        let (rows, columns) = (grid.rows.cells, grid.columns.cells);
        let mut blend = grid.blend();
        for tile in 0..grid.tiles() {
            let cells = (0..rows * columns).map(|i| heat(tile, i / columns, i % columns));
            blend.add(&cells.collect::<Vec<_>>());
        }
        blend.finish()
    }

    #[test]
    fn tiles_by_hand() {
        let grid = Grid::new([3000, 4000], [64, 64], tiling(512, 128));
        assert_eq!(grid.map(), [375, 500]);
        // ceil(2488 / 384) = 7 and ceil(3488 / 384) = 10 steps.
        assert_eq!(grid.tiles(), 8 * 11);
        assert_eq!(grid.tile(0), [0, 0, 512, 512]);
        assert_eq!(grid.tile(12), [355, 348, 512, 512]);
        assert_eq!(grid.tile(87), [2488, 3488, 512, 512]);
        // What is smaller than a tile is one.
        let small = Grid::new([300, 512], [64, 48], tiling(512, 128));
        assert_eq!((small.tiles(), small.tile(0), small.map()), (1, [0, 0, 300, 512], [64, 48]));
        let whole = Grid::new([3000, 4000], [64, 48], None);
        assert_eq!((whole.tile(0), whole.map()), ([0, 0, 3000, 4000], [64, 48]));
        // One row of tiles; no finer map than the image; no map without bounds.
        let strip = Grid::new([100, 1024], [64, 64], tiling(512, 0));
        assert_eq!((strip.tiles(), strip.map()), (2, [64, 128]));
        assert_eq!(Grid::new([40, 50], [64, 64], tiling(32, 8)).map(), [40, 50]);
        assert_eq!(Grid::new([5000, 10000], [64, 64], tiling(64, 8)).map(), [2048, 4096]);
    }

    #[test]
    fn weights_fall_linearly_across_the_overlap() {
        let axis = Axis::new(12, 8, tiling(8, 2));
        assert_eq!(axis.starts, [0, 4]);
        let weights = |i| [0.0, 3.9, 4.0, 5.0, 7.0, 8.0, 11.9].map(|at| axis.weight(i, at));
        assert_eq!(weights(0), [1.0, 1.0, 1.0, 0.75, 0.25, 0.0, 0.0]);
        assert_eq!(weights(1), [0.0, 0.0, 0.0, 0.25, 0.75, 1.0, 1.0]);
    }

    #[test]
    fn a_defect_on_a_border_is_not_cut() {
        // A hot band across the middle of what two tiles share, which each sees at another place.
        let grid = Grid::new([64, 96], [32, 32], tiling(64, 32));
        assert_eq!((grid.tiles(), grid.map()), (2, [32, 48]));
        let bump = |x: f32| (-0.02 * (x - 48.0).powi(2)).exp();
        let heat =
            |tile: usize, _, column: usize| bump(32.0 * tile as f32 + 2.0 * column as f32 + 1.0);
        let map = blended(&grid, heat);
        for (x, value) in map[..48].iter().enumerate() {
            let at = 2.0 * x as f32 + 1.0;
            assert!((value - bump(at)).abs() < 1e-6, "{x}: {value}");
        }
        // Tiles of different heat: no step anywhere exceeds an even slope across the overlap.
        let map = blended(&grid, |tile, _, _| tile as f32);
        let steps = map[..48].windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.clone().all(|step| (0.0..=1.0 / 16.0 + 1e-6).contains(&step)));
        assert_eq!((map[0], map[47]), (0.0, 1.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn tiles_cover_the_image_and_constants_stay(
            size in [1usize..300, 1usize..300], seen in [1usize..20, 1usize..20],
            side in 8usize..100, overlap in 0usize..51,
        ) {
            let overlap = overlap.min(side / 2);
            let grid = Grid::new(size, seen, tiling(side, overlap));
            for axis in [&grid.rows, &grid.columns] {
                prop_assert_eq!(axis.starts[0], 0);
                prop_assert_eq!(axis.starts.last().unwrap() + axis.side, axis.length);
                let shared = |pair: &[usize]| (pair[0] + axis.side).checked_sub(pair[1]);
                prop_assert!(axis.starts.windows(2).all(|pair| shared(pair) >= Some(overlap)));
            }
            let map = blended(&grid, |_, _, _| 2.5);
            prop_assert_eq!(map.len(), grid.map().iter().product::<usize>());
            prop_assert!(map.iter().all(|value| (value - 2.5).abs() < 1e-5), "{:?}", map);
        }
    }
}
