// Kinds of damage, as column 0 of draws numbers them.
const RECTANGLE: u32 = 0u; // CutPaste (Li et al. 2021): sizes are half width and half height
const SCAR: u32 = 1u;      // the same, thin and rotated: half length, half width
const BLOB: u32 = 2u;      // where smooth noise is high: nodes along the lattice's side, share of the image
const SPOT: u32 = 3u;      // Gaussian: deviations along and across
