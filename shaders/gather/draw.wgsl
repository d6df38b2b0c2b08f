// index[b, rank(p)] = p for the n positions whose random words are smallest: a sample without replacement
// in random order, the same row for every image. rank(p) = number of words below p's; equal words
// (2^-32 per pair) rank by position, so the ranks are a permutation.
// One invocation per position, P loads each. Reference and tests: kernels-tests/gather.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    positions: u32, // P
    count: u32,     // n, positions drawn
    images: u32,    // B
    purpose: u32,   // not used here
}

@group(0) @binding(0) var<storage, read> words: array<u32>; // [P]
@group(0) @binding(1) var<storage, read_write> index: array<u32>; // [B, n]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn draw(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.positions) {
        let word = words[i];
        var rank = 0u;
        for (var other = 0u; other < p.positions; other++) {
            let w = words[other];
            rank += u32(w < word || (w == word && other < i));
        }
        if (rank < p.count) {
            for (var b = 0u; b < p.images; b++) {
                index[b * p.count + rank] = i;
            }
        }
    }
}
