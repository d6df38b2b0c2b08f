//! Connected regions of masks.

/// For each pixel of `mask` (`[H, width]`, nonzero = defect) the number of pixels of its region, 0
/// where nothing is marked; and how many regions there are. Pixels that touch at a side or a corner
/// belong together.
pub(super) fn region_sizes(mask: &[u8], width: usize) -> (Vec<u32>, usize) {
    let height = mask.len().checked_div(width).unwrap_or_default();
    let mut sizes = vec![0; mask.len()];
    let (mut regions, mut region, mut waiting) = (0, Vec::new(), Vec::new());
    for start in 0..height * width {
        if mask[start] == 0 || sizes[start] != 0 {
            continue;
        }
        regions += 1;
        sizes[start] = 1;
        waiting.push(start);
        while let Some(pixel) = waiting.pop() {
            region.push(pixel);
            let (y, x) = (pixel / width, pixel % width);
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                for x in x.saturating_sub(1)..(x + 2).min(width) {
                    let neighbour = y * width + x;
                    if mask[neighbour] != 0 && sizes[neighbour] == 0 {
                        sizes[neighbour] = 1;
                        waiting.push(neighbour);
                    }
                }
            }
        }
        let size = region.len() as u32;
        region.drain(..).for_each(|pixel| sizes[pixel] = size);
    }
    (sizes, regions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_touch_and_borders_do_not_wrap() {
        #[rustfmt::skip]
        let mask = [
            1, 0, 0, 0, 9,
            0, 1, 0, 0, 9,
            0, 0, 0, 0, 0,
            7, 0, 0, 1, 0,
            0, 0, 1, 1, 0,
        ];
        #[rustfmt::skip]
        let sizes = [
            2, 0, 0, 0, 2,
            0, 2, 0, 0, 2,
            0, 0, 0, 0, 0,
            1, 0, 0, 3, 0,
            0, 0, 3, 3, 0,
        ];
        assert_eq!(region_sizes(&mask, 5), (sizes.to_vec(), 4));
        // A frame is one region, what it encloses is not part of it.
        assert_eq!(region_sizes(&[1, 1, 1, 1, 0, 1, 1, 1, 1], 3).0, [8, 8, 8, 8, 0, 8, 8, 8, 8]);
        assert_eq!(region_sizes(&[], 0), (Vec::new(), 0));
        assert_eq!(region_sizes(&[0; 6], 3), (vec![0; 6], 0));
    }
}
