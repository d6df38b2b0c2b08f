// Stored images of a batch, each turned by a multiple of 90 degrees counter-clockwise, in the form they
// are stored in: bytes, four to a word. A permutation of the pixels, so nothing is rounded.
//   1: y(r, c) = x(c, S-1-r)   2: x(S-1-r, S-1-c)   3: x(S-1-c, r), on squares of side S
// pixels: bytes [N, S, S, C]; slots, turns: [B]; turned: bytes [B, S, S, C], zeros behind the last.
// One invocation per word. Reference and tests: kernels-tests/rotation.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    words: u32, // of the result
    bytes: u32, // B * S * S * C
    side: u32,  // S
    channels: u32,
}

@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read> slots: array<u32>;
@group(0) @binding(2) var<storage, read> turns: array<u32>;
@group(0) @binding(3) var<storage, read_write> turned: array<u32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn turn(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let word = workgroup_index(group, groups) * WG + lane;
    if (word < p.words) {
        let last = p.side - 1u;
        var packed = 0u;
        for (var k = 0u; k < 4u; k++) {
            let byte = word * 4u + k;
            if (byte < p.bytes) {
                let pixel = byte / p.channels;
                let area = p.side * p.side;
                let image = pixel / area;
                let row = pixel % area / p.side;
                let column = pixel % p.side;
                var source = vec2<u32>(row, column);
                switch (turns[image]) {
                    case 1u: { source = vec2<u32>(column, last - row); }
                    case 2u: { source = vec2<u32>(last - row, last - column); }
                    case 3u: { source = vec2<u32>(last - column, row); }
                    default: {}
                }
                let at = (slots[image] * area + source.x * p.side + source.y) * p.channels + byte % p.channels;
                packed |= ((pixels[at >> 2u] >> ((at & 3u) * 8u)) & 255u) << (k * 8u);
            }
        }
        turned[word] = packed;
    }
}
