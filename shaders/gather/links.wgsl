// Where each position of an image was sampled, as linked lists through the rows of index [B, n]:
// list[b, p] = first j with index[b, j] = p, list[b, P + j] = next j' > j with the same position; n ends a
// list. So the scatter sums repeated positions in the order of j, without atomics.
// One invocation per link. Reference and tests: kernels-tests/gather.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    view: u32,      // not used here
    images: u32,    // B
    positions: u32, // P
    count: u32,     // n, rows per image
    features: u32,  // not used here
    has_grad: u32,  // not used here
}

@group(0) @binding(0) var<storage, read> index: array<u32>; // [B, n]
@group(0) @binding(1) var<storage, read_write> list: array<u32>; // [B, P + n]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn links(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let width = p.positions + p.count;
    if (i < p.images * width) {
        let row = i / width * p.count;
        var position = i % width;
        var j = 0u;
        if (position >= p.positions) {
            j = position - p.positions + 1u;
            position = index[row + j - 1u];
        }
        while (j < p.count && index[row + j] != position) {
            j++;
        }
        list[i] = j;
    }
}
