// What each normal and each anomalous entry weighs, so that each side's together weigh one half.
#import reduce

// count: this lane's normal and anomalous entries. Counts below 2^24 are exact.
fn halves(lane: u32, count: vec2<f32>) -> vec2<f32> {
    let totals = vec2<f32>(workgroup_sum(lane, count.x), workgroup_sum(lane, count.y));
    return 0.5 / max(totals, vec2<f32>(1.0));
}
