// What the forward pass leaves of four anchors.
#import nt_xent/tile

// In place of a similarity that is not allowed: exp of its distance to any other is 0, and unlike
// that of the lowest f32, the distance times log2(e) is finite.
const MASKED: f32 = -1.0e30;

// `top`, `sum` and `positive`: the running maximum, the sum relative to it and the pair's similarity.
fn store(quad: u32, top: vec4<f32>, sum: vec4<f32>, positive: vec4<f32>) {
    let kept = tag_row[quad] != vec4(NONE);
    let log_sum = log(sum);
    let loss = select(-positive, (top - positive) + log_sum, p.end == p.tiles);
    lse[quad] = select(vec4(0.0), top + log_sum, kept);
    term[quad] = select(vec4(0.0), loss, kept);
}
