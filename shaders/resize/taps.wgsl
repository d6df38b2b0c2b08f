// The two input places that an output place reads, along one axis.
struct Taps {
    low: u32,
    high: u32,
    weight: f32, // of high
}

// Output place i lies at (i + 1/2) from / to - 1/2, not below 0: in whole numbers, over 2 to.
fn taps(i: u32, from_len: u32, to_len: u32) -> Taps {
    let at = max((2u * i + 1u) * from_len, to_len) - to_len;
    let low = at / (2u * to_len);
    let weight = f32(at % (2u * to_len)) / f32(2u * to_len);
    return Taps(low, min(low + 1u, from_len - 1u), weight);
}
