// Kinds of damage, as column 0 of draws numbers them.
const RECTANGLE: u32 = 0u; // CutPaste (Li et al. 2021): sizes are half width and half height
const SCAR: u32 = 1u;      // the same, thin and rotated: half length, half width
const BLOB: u32 = 2u;      // where smooth noise is high: nodes along the lattice's side, share of the image
const SPOT: u32 = 3u;      // ellipse: radii along and across
const LINE: u32 = 4u;      // piece of a parabola: half length, sag of its ends in half lengths
const SMEAR: u32 = 5u;     // upright rectangle of running means: half width and half height

// The field of a spot or line is how much of the damage a pixel shows; from here on the mask holds it.
const FADED: f32 = 0.25;

fn fades(kind: u32) -> bool {
    return kind == SPOT || kind == LINE;
}
