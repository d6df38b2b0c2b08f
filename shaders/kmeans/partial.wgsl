// Stage 1 of Lloyd's update (1982): sums over one run of rows of x, by the centre that each is assigned to,
// and how many rows each centre has. A row whose index is not below M takes no part.
// x: [rows, cols], assigned: [rows], sums: [runs, M, cols], sizes: [runs, M].
// One invocation per run and column: nobody else writes there, so rows are added in their order.
// Stage 2 is update.wgsl. Reference and tests: kernels-tests/kmeans.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    centres: u32, // M
    run: u32, // rows per run; the last run may have fewer
    runs: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> assigned: array<u32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(3) var<storage, read_write> sizes: array<u32>;
@group(0) @binding(4) var<uniform> p: Params;

fn clear(of_run: u32, m: u32, d: u32) {
    if (m < p.centres) {
        sums[(of_run + m) * p.cols + d] = 0.0;
        if (d == 0u) {
            sizes[of_run + m] = 0u;
        }
    }
}

@compute @workgroup_size(WG)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.runs * p.cols) {
        let d = i % p.cols;
        let of_run = i / p.cols * p.centres;
        // Four centres per round: rounds are what Mesa's software driver counts.
        for (var m = 0u; m < p.centres; m += 4u) {
            clear(of_run, m, d);
            clear(of_run, m + 1u, d);
            clear(of_run, m + 2u, d);
            clear(of_run, m + 3u, d);
        }
        let first = i / p.cols * p.run;
        for (var r = first; r < min(first + p.run, p.rows); r++) {
            let m = assigned[r];
            if (m < p.centres) {
                sums[(of_run + m) * p.cols + d] += x[r * p.cols + d];
                if (d == 0u) {
                    sizes[of_run + m]++;
                }
            }
        }
    }
}
