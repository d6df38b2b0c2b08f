// Tiles of 64 x 64 sums of products in a workgroup of 256: 16 terms at a time of each side lie in workgroup memory,
// and each invocation holds 4 x 4 sums, 16 rows and 16 columns apart, so that neighbouring lanes touch neighbouring
// words.
const TILE: u32 = 64u; // rows and columns of a tile
const DEPTH: u32 = 16u; // terms at a time
const STRIDE: u32 = 65u; // TILE + 1: a transposed store then meets no bank twice
const WG: u32 = 256u;

var<workgroup> left: array<f32, DEPTH * STRIDE>; // [DEPTH, rows]
var<workgroup> right: array<f32, DEPTH * STRIDE>; // [DEPTH, columns]

// Adds DEPTH terms: sums[i] is this invocation's row lane / 16 + 16 i, its four columns from lane % 16 on.
fn multiply(sums: ptr<function, mat4x4<f32>>, lane: u32) {
    for (var k = 0u; k < DEPTH; k++) {
        let at = k * STRIDE + lane % 16u;
        let v = vec4<f32>(right[at], right[at + 16u], right[at + 32u], right[at + 48u]);
        let row = k * STRIDE + lane / 16u;
        (*sums)[0] += left[row] * v;
        (*sums)[1] += left[row + 16u] * v;
        (*sums)[2] += left[row + 32u] * v;
        (*sums)[3] += left[row + 48u] * v;
    }
}
