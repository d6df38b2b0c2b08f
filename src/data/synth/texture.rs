//! Surfaces without defects. Coordinates are in units of 1/96 of the image's side.

use super::random::{Frame, Noise, Random, step};

/// A surface: its brightness at every point.
#[derive(Debug, Clone)]
pub(super) enum Texture {
    Fabric(Fabric),
    Metal(Metal),
    Leather(Leather),
}

impl Texture {
    /// Brightness at `(x, y)`, about 0 to 1, where `missing` may hide threads.
    pub(super) fn at(&self, x: f64, y: f64, missing: Option<&MissingThread>) -> f64 {
        match self {
            Self::Fabric(fabric) => fabric.at(x, y, missing),
            Self::Metal(metal) => metal.at(x, y),
            Self::Leather(leather) => leather.at(x, y),
        }
    }
}

/// A plain weave: warp threads run along v, weft threads along u, and take turns on top.
#[derive(Debug, Clone)]
pub(super) struct Fabric {
    frame: Frame,
    /// Distance of neighbouring threads.
    pitch: (f64, f64),
    /// Half the width of a thread, in pitches.
    half_width: f64,
    /// Uneven weaving, brightness of threads, fibres.
    warping: Noise,
    thread: Noise,
    fibre: Noise,
}

impl Fabric {
    /// `set` draws what all images of a set share, `image` what differs.
    pub(super) fn new(set: &mut Random, image: &mut Random) -> Self {
        let pitch = (set.range(5.6, 6.6), set.range(5.2, 6.2));
        let half_width = set.range(0.43, 0.47);
        let turn = image.range(-0.08, 0.08);
        Self {
            frame: Frame::new(turn, (image.range(-500.0, 500.0), image.range(-500.0, 500.0))),
            pitch: (pitch.0 * image.range(0.97, 1.03), pitch.1 * image.range(0.97, 1.03)),
            half_width,
            warping: Noise(image.bits()),
            thread: Noise(image.bits()),
            fibre: Noise(image.bits()),
        }
    }

    /// `(x, y)` in pitches: warp thread `floor(u)`, weft thread `floor(v)`.
    fn weave(&self, x: f64, y: f64) -> (f64, f64) {
        let (u, v) = self.frame.see(x, y);
        let (u, v) = (u / self.pitch.0, v / self.pitch.1);
        let bend = 0.30 * self.warping.at(0.11 * u, 0.13 * v);
        let sway = 0.30 * self.warping.at(0.12 * v + 91.0, 0.10 * u);
        (u + bend, v + sway)
    }

    fn at(&self, x: f64, y: f64, missing: Option<&MissingThread>) -> f64 {
        let (u, v) = self.weave(x, y);
        let (i, j) = (u.floor(), v.floor());
        let (fu, fv) = (u - i - 0.5, v - j - 0.5);
        let over = if (i as i64 + j as i64) % 2 == 0 { 1.0 } else { -1.0 };
        let gone = missing.map_or(0.0, |missing| missing.gone(u, v));
        let (warp_gone, weft_gone) =
            if missing.is_some_and(|missing| missing.weft) { (0.0, gone) } else { (gone, 0.0) };
        let warp = self.strand(fu, fv, over, (i as i64, 0), (u, v), warp_gone);
        let weft = self.strand(fv, fu, -over, (j as i64, 1), (v, u), weft_gone);
        const GAP: f64 = 0.14;
        let top = if warp.0 > weft.0 { warp } else { weft };
        GAP + (top.1 - GAP) * step(-0.25, 0.10, top.0)
    }

    /// Height and brightness of a thread, `across` from its middle and `along` from a crossing, on
    /// top there when `over` is 1.
    fn strand(
        &self,
        across: f64,
        along: f64,
        over: f64,
        id: (i64, i64),
        (s, t): (f64, f64),
        gone: f64,
    ) -> (f64, f64) {
        let slub = 0.10 * self.thread.at(t * 0.45, id.0 as f64 * 7.3 + id.1 as f64 * 1e3);
        let reach = across / (self.half_width * (1.0 + slub));
        let round = 1.0 - reach * reach;
        let rise = over * (1.0 - 4.0 * along * along);
        let height = 0.55 * round + 0.45 * rise - 3.0 * gone;
        let dye = 0.11 * (self.thread.lattice(id.0, id.1) - 0.5);
        let fibre = 0.075 * self.fibre.at(s * 6.5, t * 1.4 + id.1 as f64 * 500.0);
        let side_light = 0.09 * across;
        (height, 0.38 + 0.20 * round + 0.13 * rise + dye + fibre + side_light)
    }

    /// A stretch of the thread through `(x, y)`, `length` pitches long.
    pub(super) fn missing(&self, x: f64, y: f64, length: f64, weft: bool) -> MissingThread {
        let (u, v) = self.weave(x, y);
        let (across, along) = if weft { (v, u) } else { (u, v) };
        let thread = across.floor();
        MissingThread { weft, thread, start: along - length / 2.0, end: along + length / 2.0 }
    }

    /// How much of `missing` lies at `(x, y)`, 0 to 1.
    pub(super) fn gone(&self, missing: &MissingThread, x: f64, y: f64) -> f64 {
        let (u, v) = self.weave(x, y);
        missing.gone(u, v)
    }
}

/// A stretch of one thread that is not there.
#[derive(Debug, Clone)]
pub(super) struct MissingThread {
    weft: bool,
    /// Which thread, in pitches across.
    thread: f64,
    /// From where to where, in pitches along.
    start: f64,
    end: f64,
}

impl MissingThread {
    fn gone(&self, u: f64, v: f64) -> f64 {
        let (across, along) = if self.weft { (v, u) } else { (u, v) };
        if across.floor() != self.thread {
            return 0.0;
        }
        step(self.start - 0.2, self.start + 0.2, along)
            * step(self.end + 0.2, self.end - 0.2, along)
    }
}

/// Metal brushed along u: streaks, and a broad sheen.
#[derive(Debug, Clone)]
pub(super) struct Metal {
    frame: Frame,
    coarse: f64,
    streak: Noise,
    sheen: Noise,
}

impl Metal {
    pub(super) fn new(set: &mut Random, image: &mut Random) -> Self {
        let coarse = set.range(0.8, 1.2);
        let turn = image.range(-0.05, 0.05);
        let origin = (image.range(-500.0, 500.0), image.range(-500.0, 500.0));
        let (streak, sheen) = (Noise(image.bits()), Noise(image.bits()));
        Self { frame: Frame::new(turn, origin), coarse, streak, sheen }
    }

    fn at(&self, x: f64, y: f64) -> f64 {
        let (u, v) = self.frame.see(x, y);
        let layer = |salt: u64, along: f64, across: f64| {
            Noise(self.streak.0 ^ salt).at(u * along, v * across * self.coarse)
        };
        let streaks = 0.10 * layer(0, 0.012, 0.35)
            + 0.11 * layer(4, 0.03, 0.9)
            + 0.09 * layer(8, 0.06, 1.8)
            + 0.04 * layer(12, 0.3, 1.9);
        0.55 + streaks + 0.05 * self.sheen.at(0.008 * u, 0.035 * v)
    }
}

/// Grained leather: rounded cells with creases between them.
#[derive(Debug, Clone)]
pub(super) struct Leather {
    frame: Frame,
    /// Size of a cell.
    cell: (f64, f64),
    site: Noise,
    grain: Noise,
}

impl Leather {
    pub(super) fn new(set: &mut Random, image: &mut Random) -> Self {
        let cell = (set.range(5.2, 6.4), set.range(4.4, 5.4));
        let turn = image.range(-0.12, 0.12);
        let origin = (image.range(-500.0, 500.0), image.range(-500.0, 500.0));
        let (site, grain) = (Noise(image.bits()), Noise(image.bits()));
        Self { frame: Frame::new(turn, origin), cell, site, grain }
    }

    fn at(&self, x: f64, y: f64) -> f64 {
        let (u, v) = self.frame.see(x, y);
        let wobble = 0.25 * self.grain.at(0.45 * u, 0.45 * v);
        let (u, v) = (u / self.cell.0 + wobble, v / self.cell.1 - wobble);
        let (nearest, second, id) = self.two_nearest(u, v);
        let crease = step(0.0, 0.5, second - nearest);
        let dome = 1.0 - nearest;
        let tone = 0.07 * (Noise(self.site.0 ^ 3).lattice(id.0, id.1) - 0.5);
        let light = 0.05 * self.grain.rough(2.3 * u, 2.3 * v);
        0.30 + 0.13 * crease + 0.12 * dome * crease + tone + light
    }

    /// Distances to the two nearest sites, and the cell of the nearest.
    fn two_nearest(&self, u: f64, v: f64) -> (f64, f64, (i64, i64)) {
        let (i, j) = (u.floor() as i64, v.floor() as i64);
        let (mut nearest, mut second, mut id) = (9.0_f64, 9.0_f64, (i, j));
        for (x, y) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (i + dx, j + dy))) {
            let shift = self.site.hash(x, y);
            let jitter = |bits: u64| 0.15 + 0.7 * (bits & 0xffff) as f64 / 65536.0;
            let (du, dv) = (x as f64 + jitter(shift) - u, y as f64 + jitter(shift >> 16) - v);
            let distance = du * du + dv * dv;
            if distance < nearest {
                (second, nearest, id) = (nearest, distance, (x, y));
            } else {
                second = second.min(distance);
            }
        }
        (nearest.sqrt(), second.sqrt(), id)
    }
}
