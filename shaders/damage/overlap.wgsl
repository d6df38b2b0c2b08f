// How much of pixel k, which reaches from k to k + 1, lies between `low` and `high`.
fn overlap(k: u32, low: f32, high: f32) -> f32 {
    return max(min(f32(k) + 1.0, high) - max(f32(k), low), 0.0);
}
