// WGSL has no infinity and drivers may assume that none occurs: the lowest finite f32 stands for
// "nothing yet" in a running maximum.
const LOWEST: f32 = -3.4028234e38;

// Not finite: all exponent bits set. Comparing x with itself is no test, drivers may fold it.
fn not_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u;
}
