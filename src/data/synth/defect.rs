//! Defects: where they are and what they do to the brightness below them.

use super::random::{Frame, Noise, Random, step};
use super::texture::{MissingThread, Texture};
use super::{DefectKind, SIDE};

/// One defect of an image.
#[derive(Debug, Clone)]
pub(super) enum Defect {
    Scratch(Scratch),
    Hole(Blob),
    Stain(Blob),
    MissingThread(MissingThread),
}

impl Defect {
    /// Draws a defect of `kind` meant to cover `area` of the image, 0 to 1.
    pub(super) fn draw(
        kind: DefectKind,
        area: f64,
        texture: &Texture,
        random: &mut Random,
    ) -> Self {
        let covered = area * SIDE * SIDE;
        match (kind, texture) {
            (DefectKind::MissingThread, Texture::Fabric(fabric)) => {
                let (x, y) = place(random, 0.2);
                let length = covered / 36.0;
                Self::MissingThread(fabric.missing(x, y, length, random.chance(0.5)))
            }
            (DefectKind::Scratch | DefectKind::MissingThread, _) => {
                Self::Scratch(Scratch::draw(covered, random))
            }
            (DefectKind::Hole, _) => {
                Self::Hole(Blob::draw(covered, 1.3, random.range(0.5, 0.95), random))
            }
            (DefectKind::Stain, _) => {
                let tone = if random.chance(0.5) {
                    -random.range(0.22, 0.36)
                } else {
                    random.range(0.22, 0.38)
                };
                Self::Stain(Blob::draw(covered, 2.4, tone, random))
            }
        }
    }

    /// How much of the defect lies at `(x, y)`, 0 to 1.
    pub(super) fn cover(&self, x: f64, y: f64, texture: &Texture) -> f64 {
        match (self, texture) {
            (Self::Scratch(scratch), _) => scratch.cover(x, y).0,
            (Self::Hole(blob) | Self::Stain(blob), _) => blob.cover(blob.reach(x, y)),
            (Self::MissingThread(missing), Texture::Fabric(fabric)) => fabric.gone(missing, x, y),
            (Self::MissingThread(_), _) => 0.0,
        }
    }

    /// Brightness of `texture` at `(x, y)` with this defect.
    pub(super) fn brightness(&self, x: f64, y: f64, texture: &Texture) -> f64 {
        match self {
            Self::MissingThread(missing) => texture.at(x, y, Some(missing)),
            Self::Scratch(scratch) => scratch.shade(x, y, texture.at(x, y, None)),
            Self::Hole(blob) => blob.shade_hole(x, y, texture.at(x, y, None)),
            Self::Stain(blob) => blob.shade_stain(x, y, texture.at(x, y, None)),
        }
    }
}

/// A point of the image at least `margin` sides away from its border.
fn place(random: &mut Random, margin: f64) -> (f64, f64) {
    let mut within = || SIDE * random.range(margin, 1.0 - margin);
    (within(), within())
}

/// A curved line that swells and tapers, with light catching one flank.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    points: Vec<(f64, f64)>,
    half_width: f64,
    /// Change of brightness in the middle.
    depth: f64,
    wear: Noise,
}

impl Scratch {
    const SEGMENTS: usize = 16;

    fn draw(covered: f64, random: &mut Random) -> Self {
        let width = random.range(1.5, 2.4);
        let length = (1.2 * covered / width).min(0.8 * SIDE);
        let (x, y) = place(random, 0.35);
        let frame = Frame::new(random.range(-1.0, 1.0), (0.0, 0.0));
        let bow = random.range(-0.25, 0.25) * length;
        let wear = Noise(random.bits());
        let points = (0..=Self::SEGMENTS)
            .map(|k| {
                let t = k as f64 / Self::SEGMENTS as f64;
                let along = (t - 0.5) * length;
                let across = 4.0 * bow * (t - 0.5) * (t - 0.5) + 0.8 * wear.at(3.0 * t, 0.0);
                let (dx, dy) = frame.see(along, across);
                (x + dx, y + dy)
            })
            .collect();
        let depth = random.signed(0.16, 0.32);
        let half_width = 0.5 * (covered / length).max(width);
        Self { points, half_width, depth, wear }
    }

    /// Coverage, and on which flank `(x, y)` lies, -1 to 1.
    fn cover(&self, x: f64, y: f64) -> (f64, f64) {
        let (mut nearest, mut at, mut flank) = (f64::INFINITY, 0.0, 0.0);
        for (k, ends) in self.points.windows(2).enumerate() {
            let ((ax, ay), (bx, by)) = (ends[0], ends[1]);
            let (dx, dy) = (bx - ax, by - ay);
            let square = (dx * dx + dy * dy).max(1e-9);
            let t = (((x - ax) * dx + (y - ay) * dy) / square).clamp(0.0, 1.0);
            let (ox, oy) = (x - ax - t * dx, y - ay - t * dy);
            let distance = ox * ox + oy * oy;
            if distance < nearest {
                nearest = distance;
                at = (k as f64 + t) / Self::SEGMENTS as f64;
                flank = (dx * oy - dy * ox) / square.sqrt();
            }
        }
        let taper = (4.0 * at * (1.0 - at)).sqrt();
        let half_width = self.half_width * taper * (1.0 + 0.35 * self.wear.at(9.0 * at, 5.0));
        let cover = step(half_width + 0.6, half_width - 0.6, nearest.sqrt());
        (cover, (flank / self.half_width.max(0.5)).clamp(-1.0, 1.0))
    }

    fn shade(&self, x: f64, y: f64, base: f64) -> f64 {
        let (cover, flank) = self.cover(x, y);
        let fade = 0.75 + 0.25 * self.wear.at(0.2 * x, 0.2 * y);
        base + cover * fade * self.depth * (1.0 - 0.6 * flank.max(0.0))
    }
}

/// An irregular round patch.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    frame: Frame,
    radius: (f64, f64),
    /// Width of the edge.
    edge: f64,
    /// How strong it is; a stain's sign says whether it is darker or brighter.
    strength: f64,
    outline: Noise,
}

impl Blob {
    fn draw(covered: f64, edge: f64, strength: f64, random: &mut Random) -> Self {
        let stretch = random.range(1.0, 1.8).sqrt();
        // Area of an ellipse: pi times its half axes.
        let radius = (covered / std::f64::consts::PI).sqrt();
        Self {
            frame: Frame::new(random.range(-1.0, 1.0), place(random, 0.16)),
            radius: (radius * stretch, radius / stretch),
            edge,
            strength,
            outline: Noise(random.bits()),
        }
    }

    /// Distance from the middle, 1 on the outline.
    fn reach(&self, x: f64, y: f64) -> f64 {
        let (u, v) = self.frame.see(x, y);
        let (u, v) = (u / self.radius.0, v / self.radius.1);
        let distance = (u * u + v * v).sqrt().max(1e-9);
        let bulge = 0.42 * self.outline.rough(1.3 * u / distance, 1.3 * v / distance);
        distance / (1.0 + bulge)
    }

    fn cover(&self, reach: f64) -> f64 {
        let soft = self.edge / (self.radius.0 + self.radius.1);
        step(1.0 + soft, 1.0 - soft, reach)
    }

    /// Darker towards a bottom that is not quite even, with a rim that catches the light.
    fn shade_hole(&self, x: f64, y: f64, base: f64) -> f64 {
        let reach = self.reach(x, y);
        let bottom = 0.17 + 0.10 * self.outline.rough(0.4 * x, 0.4 * y);
        let deep = self.cover(reach) * self.strength;
        let rim = step(0.9, 1.1, reach) * step(1.45, 1.1, reach);
        let (_, v) = self.frame.see(x, y);
        let lit = if v > 0.0 { 0.10 } else { -0.04 };
        base + (bottom - base) * deep + rim * lit * self.strength
    }

    /// The texture shows through; the edge has dried darker, or brighter, than the middle.
    fn shade_stain(&self, x: f64, y: f64, base: f64) -> f64 {
        let reach = self.reach(x, y);
        let ring = step(0.65, 0.95, reach);
        let uneven = 0.85 + 0.3 * self.outline.rough(0.15 * x, 0.15 * y);
        base * (1.0 + self.cover(reach) * self.strength * uneven * (0.75 + 0.45 * ring))
    }
}
