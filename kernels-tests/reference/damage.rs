use super::Out;
use super::augment::{SPECIAL_FUNCTIONS, normals, philox, uniform01};
use std::f64::consts::PI;

pub const RECTANGLE: u32 = 0;
pub const SCAR: u32 = 1;
pub const BLOB: u32 = 2;
pub const SPOT: u32 = 3;
pub const LINE: u32 = 4;
pub const SMEAR: u32 = 5;

/// One row of draws: kind, edge, centre x, y, two sizes, cos, sin, offset x, y, other, contrast,
/// brightness, opacity, two 24-bit words. `kinds` are those that may be drawn, in their order.
pub fn draw(kinds: &[u32], seed: [u32; 2], step: u32, id: u32) -> Out {
    let words: Vec<u32> =
        (0..7).flat_map(|block| philox(seed, [id, 0, step, 0x444D_4700 + block])).collect();
    let u = |i: usize| uniform01(words[i]);
    let between = |low: f64, high: f64, i: usize| low + u(i) * (high - low);
    let log_between = |low: f64, high: f64, i: usize| between(low.ln(), high.ln(), i).exp();
    let flag = |yes: bool| f64::from(u8::from(yes));

    let kind = kinds[(u(0) * kinds.len() as f64) as usize];
    let reach = if kind == BLOB { 0.8 } else { 0.85 };
    let centre = [2, 3].map(|i| reach * (2.0 * u(i) - 1.0));
    let half = u(7) < 0.5;
    let by_area = |area: f64, aspect: f64| [(area * aspect).sqrt(), (area / aspect).sqrt()];
    let sizes = match kind {
        RECTANGLE => by_area(log_between(0.005, 0.15, 4), log_between(0.3, 3.3, 5)),
        SCAR => [between(0.12, 0.5, 4), log_between(0.02, 0.08, 5)],
        BLOB => [[3.0, 5.0, 8.0, 12.0][(u(4) * 4.0) as usize], log_between(0.004, 0.12, 5)],
        // Radii whose mean (geometric) is drawn.
        SPOT => by_area(log_between(0.05, 0.8, 4).powi(2), log_between(1.0, 2.5, 5)),
        LINE => [between(0.1, 0.8, 4), between(-0.5, 0.5, 5)],
        _ => by_area(log_between(0.008, 0.12, 4), log_between(0.1, 10.0, 5)),
    };
    let turned = [SCAR, SPOT, LINE].contains(&kind);
    let angle = if turned { PI * (u(6) - 0.5) } else { 0.0 };
    let in_place = kind == SPOT || kind == LINE || kind == BLOB && !half;
    let offset = match kind {
        SMEAR if u(7) < 0.35 => [0.125, 0.0],
        SMEAR if u(7) < 0.7 => [0.0, 0.125],
        SMEAR => [2.0, 2.0],
        _ => [8, 9].map(|i| if in_place { 0.0 } else { between(0.2, 0.8, i) }),
    };
    let contrast = match (kind, half) {
        (RECTANGLE | SCAR, _) => between(0.7, 1.3, 10),
        (BLOB, _) => between(0.3, 1.5, 10),
        (SPOT, true) => between(0.0, 0.5, 10),
        (LINE, true) => 0.0,
        _ => 1.0,
    };
    let size = match (kind, half) {
        (RECTANGLE | SCAR, _) => between(0.0, 0.15, 11),
        (BLOB, _) => between(0.05, 0.3, 11),
        (SPOT, false) => between(0.08, 0.4, 11),
        (SPOT, true) => between(0.05, 0.45, 11),
        (LINE, false) => between(0.1, 0.5, 11),
        (LINE, true) => between(0.15, 0.5, 11),
        _ => between(0.0, 0.1, 11),
    };
    let brightness = if u(12) < 0.5 { -size } else { size };
    let opacity = match kind {
        BLOB => between(0.4, 1.0, 13),
        SPOT | LINE => between(0.5, 1.0, 13),
        _ => 1.0,
    };
    let edge = match kind {
        SPOT => log_between(0.03, 0.4, 1),
        LINE => between(0.5, 1.5, 1),
        _ => flag(u(1) < 0.5),
    };
    let other = kind == BLOB && half;
    let broken = u(8) < 0.5;
    let segments = (0..12).map(|k| flag(!broken || u(16 + k) >= 0.15) * 2f64.powi(k as i32));
    let key = if kind == LINE { segments.sum() } else { f64::from(words[14] >> 8) };
    let value = vec![
        f64::from(kind),
        edge,
        centre[0],
        centre[1],
        sizes[0],
        sizes[1],
        angle.cos(),
        angle.sin(),
        offset[0],
        offset[1],
        flag(other),
        contrast,
        brightness,
        opacity,
        key,
        f64::from(words[15] >> 8),
    ];
    let mut mag: Vec<f64> = value.iter().map(|v| v.abs()).collect();
    (mag[2], mag[3]) = (1.0, 1.0);
    // Exponentials of up to 5.5 in size; a line's sag is a difference.
    [1, 4, 5].iter().for_each(|i| mag[*i] *= 4.0);
    if kind == LINE {
        mag[5] = 0.5;
    }
    if turned {
        (mag[6], mag[7]) = (SPECIAL_FUNCTIONS, SPECIAL_FUNCTIONS);
    }
    Out { value, mag }
}

/// The weight of a node `d` away (Catmull and Rom 1974, the cubic convolution of Keys 1981 with
/// a = -1/2).
fn cubic(d: f64) -> f64 {
    match d.abs() {
        d if d < 1.0 => 1.5 * d.powi(3) - 2.5 * d * d + 1.0,
        d if d < 2.0 => -0.5 * d.powi(3) + 2.5 * d * d - 4.0 * d + 2.0,
        _ => 0.0,
    }
}

/// A square lattice of normals, `side` to a row, as the key of a row of draws gives them.
fn lattice(row: &[f64], side: usize) -> Vec<f64> {
    let key = [row[14] as u32, row[15] as u32];
    let blocks = (0..side.pow(2).div_ceil(4) as u32).map(|i| philox(key, [i, 0, 0, 0x424C_4F42]));
    blocks.flat_map(normals).collect()
}

/// Distance of a point from the segments of the parabola `(length q, -length sag q^2)`, q from -1 to 1 in
/// twelve straight pieces, whose bits are set.
fn from_line([x, y]: [f64; 2], [length, sag]: [f64; 2], kept: u32) -> f64 {
    let corner = |k: u32| {
        let q = (f64::from(k) - 6.0) / 6.0;
        [length * q, -length * sag * q * q]
    };
    let to_segment = |k: u32| {
        let ([ax, ay], [bx, by]) = (corner(k), corner(k + 1));
        let long = (bx - ax).hypot(by - ay);
        let (ux, uy) = ((bx - ax) / long, (by - ay) / long);
        let along = (x - ax) * ux + (y - ay) * uy;
        let across = (y - ay) * ux - (x - ax) * uy;
        // How far beyond its ends.
        across.hypot((along - long).max(-along).max(0.0))
    };
    (0..12).filter(|k| kept >> k & 1 == 1).map(to_segment).fold(f64::INFINITY, f64::min)
}

/// How far inside the damage each pixel lies, `[H, W]`: see `shaders/damage/field.wgsl`.
fn field(row: &[f64], [height, width]: [usize; 2]) -> Vec<f64> {
    let unit = 0.5 * ((width * height) as f64).sqrt();
    let (centre_x, centre_y) =
        ((row[2] + 1.0) / 2.0 * width as f64, (row[3] + 1.0) / 2.0 * height as f64);
    let side = row[4] as usize;
    let nodes = if row[0] as u32 == BLOB { lattice(row, side) } else { Vec::new() };
    let mut out = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (dx, dy) = (x as f64 + 0.5 - centre_x, y as f64 + 0.5 - centre_y);
            let along = (dx * row[6] + dy * row[7]) / unit;
            let across = (dy * row[6] - dx * row[7]) / unit;
            let holds_centre = centre_x.floor() == x as f64 && centre_y.floor() == y as f64;
            out.push(match row[0] as u32 {
                BLOB => {
                    let spacing = width.max(height) as f64 / (side as f64 - 1.0);
                    let (at_x, at_y) = ((x as f64 + 0.5) / spacing, (y as f64 + 0.5) / spacing);
                    let mut noise = 0.0;
                    for i in -2..side as i64 + 2 {
                        for j in -2..side as i64 + 2 {
                            let inside = |k: i64| k.clamp(0, side as i64 - 1) as usize;
                            noise += cubic(at_y - i as f64)
                                * cubic(at_x - j as f64)
                                * nodes[inside(i) * side + inside(j)];
                        }
                    }
                    noise - 2.0 * (dx * dx + dy * dy) / (unit * unit)
                }
                SPOT => {
                    let rho = (along / row[4]).hypot(across / row[5]);
                    let shown = 1.0 / (1.0 + ((rho - 1.0) / row[1]).exp());
                    if holds_centre { shown.max(0.25) } else { shown }
                }
                LINE => {
                    let away = from_line([along, across], [row[4], row[5]], row[14] as u32) * unit;
                    let shown = (row[1] + 0.5 - away).clamp(0.0, 1.0);
                    if holds_centre { shown.max(0.25) } else { shown }
                }
                _ => {
                    // At least a pixel wide.
                    let half = [row[4], row[5]].map(|size| size.max(0.5 / unit));
                    let inside = (half[0] - along.abs()).min(half[1] - across.abs());
                    if holds_centre { inside.max(0.0) } else { inside }
                }
            });
        }
    }
    out
}

/// What of the field is damage.
fn threshold(row: &[f64], field: &[f64], [height, width]: [usize; 2]) -> f64 {
    match row[0] as u32 {
        SPOT | LINE => return 0.25,
        BLOB => {}
        _ => return 0.0,
    }
    let places = |side: usize| {
        let count = side.min(16);
        (0..count).map(move |i| ((i as f64 + 0.5) * side as f64 / count as f64) as usize)
    };
    let mut samples: Vec<f64> = places(height)
        .flat_map(|y| places(width).map(move |x| y * width + x))
        .map(|at| field[at])
        .collect();
    samples.sort_by(|a, b| b.total_cmp(a));
    let rank = (row[5] * samples.len() as f64).round().max(1.0) as usize;
    samples[rank - 1]
}

/// How far f32 may be off a value of the field: coordinates are rounded, and narrow edges magnify that.
pub fn slack(row: &[f64], [height, width]: [usize; 2]) -> f64 {
    let pixels = 4.0 * f64::from(f32::EPSILON) * width.max(height) as f64;
    let unit = 0.5 * ((width * height) as f64).sqrt();
    match row[0] as u32 {
        // Normals are as good as WGSL's cosine.
        BLOB => 5e-3,
        // The steepest slope of the edge is 1/4.
        SPOT => 1e-5 + 0.25 * pixels / (unit * row[4].min(row[5]) * row[1]),
        LINE => 1e-5 + pixels,
        _ => 1e-5 + pixels / unit,
    }
}

/// The hard mask, `[H, W]`; `None` where rounding decides.
pub fn mask(row: &[f64], size: [usize; 2]) -> Vec<Option<bool>> {
    let field = field(row, size);
    let threshold = threshold(row, &field, size);
    let slack = slack(row, size);
    let decided = |v: &f64| {
        let margin = v - threshold;
        (margin.abs() > slack).then_some(margin > 0.0)
    };
    field.iter().map(decided).collect()
}

/// How much of the damage each pixel shows, `[H, W]`, given the hard mask.
fn alpha(row: &[f64], mask: &[f64], [height, width]: [usize; 2]) -> Vec<f64> {
    if [SPOT, LINE].contains(&(row[0] as u32)) {
        return field(row, [height, width]).iter().map(|shown| shown * row[13]).collect();
    }
    if row[1] == 0.0 {
        return mask.iter().map(|m| m * row[13]).collect();
    }
    let inside = |at: usize, by: i64, n: usize| (at as i64 + by).clamp(0, n as i64 - 1) as usize;
    let mut out = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let mut sum = 0.0;
            for dy in -1..=1 {
                for dx in -1..=1 {
                    sum += mask[inside(y, dy, height) * width + inside(x, dx, width)];
                }
            }
            out.push(row[13] * sum / 9.0);
        }
    }
    out
}

/// An image as it is stored.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    /// `[H, W, C]`.
    pub bytes: &'a [u8],
    pub mean: f64,
    pub deviation: f64,
}

/// The damaged image `[H, W, C]`, in bytes before they are rounded, given the hard mask.
pub fn blend(
    row: &[f64],
    own: Image<'_>,
    next: Image<'_>,
    mask: &[f64],
    [height, width, channels]: [usize; 3],
) -> Vec<f64> {
    let source = if row[10] == 1.0 { next } else { own };
    let alpha = alpha(row, mask, [height, width]);
    // A share times a side may fall on an integer only when rounded, so round as the kernel does.
    let offset = |share: f64, side: usize| (share as f32 * side as f32) as usize;
    let (right, below) = (offset(row[8], width), offset(row[9], height));
    // A smear's reach: shares of the sides, rounded down, or pixels.
    let reach =
        |by: f64, side: usize| (if by < 1.0 { (by * side as f64).floor() } else { by }) as i64;
    let (across, down) = (reach(row[8], width), reach(row[9], height));
    let smeared = |x: usize, y: usize, c: usize| {
        let inside = |at: i64, n: usize| at.clamp(0, n as i64 - 1) as usize;
        let mut sum = 0.0;
        for dy in -down..=down {
            for dx in -across..=across {
                let (x, y) = (inside(x as i64 + dx, width), inside(y as i64 + dy, height));
                sum += f64::from(own.bytes[(y * width + x) * channels + c]);
            }
        }
        sum / ((2 * across + 1) * (2 * down + 1)) as f64
    };
    let mut out = Vec::new();
    for i in 0..height * width * channels {
        let (y, x, c) = (i / channels / width, i / channels % width, i % channels);
        let place = ((y + below) % height * width + (x + right) % width) * channels + c;
        let put = match row[0] as u32 {
            SMEAR => smeared(x, y, c),
            _ => f64::from(source.bytes[place]),
        };
        let content =
            (put / 255.0 - source.mean) * row[11] + source.mean + row[12] * own.deviation / 0.2;
        let a = alpha[i / channels];
        let blended = f64::from(own.bytes[i]) / 255.0 * (1.0 - a) + content * a;
        out.push(255.0 * blended.clamp(0.0, 1.0));
    }
    out
}

/// Whether damage shows: the mean change of the bytes of masked pixels above 0.4 deviations; `None` where
/// rounding decides.
pub fn seen(own: Image<'_>, damaged: &[u8], mask: &[f64], channels: usize) -> Option<bool> {
    let (mut sum, mut count) = (0.0, 0.0);
    for (i, (before, after)) in own.bytes.iter().zip(damaged).enumerate() {
        sum += mask[i / channels] * (f64::from(*after) - f64::from(*before)).abs() / 255.0;
        count += mask[i / channels];
    }
    let (change, least) = (sum / count, 0.4 * own.deviation);
    (change == 0.0 || (change - least).abs() > 1e-5 * least).then_some(change > least)
}

/// Which pixels of masks `[n, area]` are not 0, for each of `slots`; none without one.
pub fn marked(masks: &[u8], area: usize, slots: &[Option<usize>]) -> Vec<f64> {
    let of = |slot: &Option<usize>| match slot {
        Some(slot) => masks[slot * area..][..area].iter().map(|m| f64::from(*m != 0)).collect(),
        None => vec![0.0; area],
    };
    slots.iter().flat_map(of).collect()
}

/// Shares of the cells of one view's map `[GH, GW]`. view: left, top, width, height, flip.
pub fn cover(
    mask: &[f64],
    [height, width]: [usize; 2],
    view: &[f64],
    [rows, columns]: [usize; 2],
) -> Out {
    let overlap =
        |k: usize, low: f64, high: f64| (high.min(k as f64 + 1.0) - low.max(k as f64)).max(0.0);
    let (mut value, mut mag) = (Vec::new(), Vec::new());
    for i in 0..rows {
        for j in 0..columns {
            let j = if view[4] == 1.0 { columns - 1 - j } else { j };
            let (across, down) = (width as f64, height as f64);
            let (cell_width, cell_height) =
                (view[2] * across / columns as f64, view[3] * down / rows as f64);
            let left = view[0] * across + j as f64 * cell_width;
            let top = view[1] * down + i as f64 * cell_height;
            let mut sum = 0.0;
            for y in 0..height {
                for x in 0..width {
                    sum += mask[y * width + x]
                        * overlap(y, top, top + cell_height)
                        * overlap(x, left, left + cell_width);
                }
            }
            value.push(sum / (cell_width * cell_height));
            // The ends of a cell are rounded as coordinates, then seen relative to its size.
            mag.push(1.0 + across / cell_width + down / cell_height);
        }
    }
    Out { value, mag }
}

#[test]
fn masks_by_hand() {
    let shown = |row: &[f64], size| -> String {
        let letter = |m: &Option<bool>| m.map_or('?', |inside| if inside { '#' } else { '.' });
        mask(row, size).iter().map(letter).collect()
    };
    let row = |kind: u32, centre: [f64; 2], sizes: [f64; 2], angle: f64| {
        let [x, y] = centre;
        let (cos, sin) = (angle.cos(), angle.sin());
        vec![f64::from(kind), 0.0, x, y, sizes[0], sizes[1], cos, sin]
    };
    // The unit is 2 pixels: 3 wide and 2 high around (1.5, 2).
    let rectangle = row(RECTANGLE, [-0.25, 0.0], [0.8, 0.5], 0.0);
    assert_eq!(shown(&rectangle, [4, 4]), "....###.###.....");
    // 1 by 4 pixels at 45 degrees, down to the right.
    let scar = row(SCAR, [0.0, 0.0], [0.9, 0.01], PI / 4.0);
    assert_eq!(shown(&scar, [4, 4]), ".....#....#.....");
    // Too small to meet a pixel's centre, and yet there.
    let mut speck = row(SPOT, [0.9, -0.9], [1e-3, 1e-3], 0.0);
    speck[1] = 0.1;
    assert_eq!(shown(&speck, [1, 5]), "....?");
    // The unit is 1.5; radii of 1.05 and 0.6 pixels with a hard edge, along y.
    let mut spot = row(SPOT, [0.0, 0.0], [0.7, 0.4], PI / 2.0);
    spot[1] = 0.01;
    assert_eq!(shown(&spot, [3, 3]), ".#..#..#.");
    // One pixel across is 1.67 radii: a quarter for an edge of 0.67 / ln 3 = 0.607 radii.
    for (edge, want) in [(0.6, ".#..#..#."), (0.62, ".#.###.#.")] {
        spot[1] = edge;
        assert_eq!(shown(&spot, [3, 3]), want);
    }
    // Straight along the second row from x = 0 to 2: 0.3 of the rows beside it, 0.8 half a pixel beyond its end.
    let mut line = row(LINE, [-0.5, -0.25], [0.5, 0.0], 0.0);
    line.extend([0.0; 8]);
    (line[1], line[14]) = (0.8, 4095.0);
    assert_eq!(shown(&line, [4, 4]), "##..###.##......");
    assert_eq!([0.0, 1.0, 2.0, 0.5, -1.5].map(cubic), [1.0, 0.0, 0.0, 0.5625, -0.0625]);
}

#[test]
fn blends_by_hand() {
    let own = Image { bytes: &[51, 102, 153, 204], mean: 0.5, deviation: 0.1 };
    let next = Image { bytes: &[0, 0, 255, 0], mean: 0.25, deviation: 9.0 };
    let shape = [1, 4, 1];
    // Two pixels to the right, halved contrast, brighter by 0.1 (deviation 0.1 halves it).
    let mut row = vec![0.0; 16];
    (row[8], row[11], row[12], row[13]) = (0.5, 0.5, 0.2, 1.0);
    let near = |got: Vec<f64>, want: [f64; 4]| {
        assert!(got.iter().zip(want).all(|(g, w)| (g - w * 255.0).abs() < 1e-9), "{got:?}");
    };
    near(blend(&row, own, next, &[1.0, 1.0, 0.0, 0.0], shape), [0.65, 0.75, 0.6, 0.8]);
    row[10] = 1.0;
    near(blend(&row, own, next, &[1.0, 1.0, 0.0, 0.0], shape), [0.725, 0.225, 0.6, 0.8]);
    // Means of three, the border repeated, brighter by 0.1: a share of 0.26 of 4 pixels is one.
    let mut smear = row.clone();
    (smear[0], smear[8], smear[10], smear[11]) = (f64::from(SMEAR), 0.26, 0.0, 1.0);
    let of = |a: f64, b: f64, c: f64| (a + b + c) / 3.0 + 0.1;
    let all = [of(0.2, 0.2, 0.4), of(0.2, 0.4, 0.6), of(0.4, 0.6, 0.8), of(0.6, 0.8, 0.8)];
    near(blend(&smear, own, next, &[1.0; 4], shape), all);
    // Two pixels to each side.
    smear[8] = 2.0;
    let second = (0.2 + 0.2 + 0.4 + 0.6 + 0.8) / 5.0 + 0.1;
    near(blend(&smear, own, next, &[0.0, 1.0, 0.0, 0.0], shape), [0.2, second, 0.6, 0.8]);
    // A soft edge: two thirds, then one third of the row above and below, which repeat it.
    row[1] = 1.0;
    let a = 0.2 + (0.725 - 0.2) * 2.0 / 3.0;
    near(blend(&row, own, next, &[1.0, 0.0, 0.0, 0.0], shape), [a, 0.4 - 0.175 / 3.0, 0.6, 0.8]);
}

#[test]
fn lines_by_hand() {
    let whole = 4095;
    // Straight: beside it, beyond its end.
    assert!((from_line([0.3, -0.2], [0.5, 0.0], whole) - 0.2).abs() < 1e-12);
    assert!((from_line([0.9, 0.3], [0.5, 0.0], whole) - 0.5).abs() < 1e-12);
    // The last of twelve alone, from 5/12 on.
    assert!((from_line([0.0, 0.0], [0.5, 0.0], 1 << 11) - 5.0 / 12.0).abs() < 1e-12);
    // Bent, it ends at (0.5, -0.1) and (-0.5, -0.1), and passes (-0.25, -0.025).
    for point in [[0.5, -0.1], [-0.5, -0.1], [-0.25, -0.025], [0.0, 0.0]] {
        assert!(from_line(point, [0.5, 0.2], whole) < 1e-12, "{point:?}");
    }
    assert_eq!(from_line([0.0, 0.0], [0.5, 0.0], 0), f64::INFINITY);
}

#[test]
fn what_is_seen_by_hand() {
    // Least: 0.04, 10.2 bytes.
    let own = Image { bytes: &[51, 102, 153, 204], mean: 0.5, deviation: 0.1 };
    let of = |damaged, mask: &[f64], channels| seen(own, damaged, mask, channels);
    // Changes of 11 and 10, then of 11 and 9; what lies outside does not count.
    assert_eq!(of(&[62, 92, 0, 0], &[1.0, 1.0, 0.0, 0.0], 1), Some(true));
    assert_eq!(of(&[62, 93, 0, 0], &[1.0, 1.0, 0.0, 0.0], 1), Some(false));
    // Two channels.
    assert_eq!(of(&[51, 102, 142, 194], &[0.0, 1.0], 2), Some(true));
    let flat = Image { deviation: 0.0, ..own };
    assert_eq!(seen(flat, flat.bytes, &[1.0; 4], 1), Some(false));
}

#[test]
fn cover_by_hand() {
    // The left half of 4 columns; the view shows columns 1 to 4 in two cells of 1.5.
    let mask = [1.0, 1.0, 0.0, 0.0];
    let of = |flip: f64| cover(&mask, [1, 4], &[0.25, 0.0, 0.75, 1.0, flip], [1, 2]).value;
    assert_eq!(of(0.0), [2.0 / 3.0, 0.0]);
    assert_eq!(of(1.0), [0.0, 2.0 / 3.0]);
}
