// How far a score lies on the wrong side of its margin, and how much it counts. The importing shader declares
// `a`, `normal` and `weights`.
struct Params {
    len: u32, // scores
    has_weights: u32,
    inner: f32, // the least margin, 1 / eta: normal scores belong at or below
    outer: f32, // eta: scores of anomalies belong at or above
}

// Above 0: the loss of score i. Not above: no loss and no gradient.
fn excess(i: u32) -> f32 {
    return select(p.outer - a[i], a[i] - p.inner, normal[i] != 0.0);
}

fn weight_of(i: u32) -> f32 {
    if (p.has_weights == 0u) {
        return 1.0;
    }
    return weights[i];
}
