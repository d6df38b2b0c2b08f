// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a counter-based
// generator. The same (key, counter) gives the same four words on every adapter and in any order.
fn mul_high(a: u32, b: u32) -> u32 {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let low = a0 * b0;
    let mid = a1 * b0 + (low >> 16u);
    let mid2 = a0 * b1 + (mid & 0xffffu);
    return a1 * b1 + (mid >> 16u) + (mid2 >> 16u);
}

fn philox(key: vec2<u32>, counter: vec4<u32>) -> vec4<u32> {
    var k = key;
    var c = counter;
    for (var round = 0u; round < 10u; round++) {
        let high0 = mul_high(0xD2511F53u, c.x);
        let low0 = 0xD2511F53u * c.x;
        let high1 = mul_high(0xCD9E8D57u, c.z);
        let low1 = 0xCD9E8D57u * c.z;
        c = vec4<u32>(high1 ^ c.y ^ k.x, low1, high0 ^ c.w ^ k.y, low0);
        k += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

// Uniform in [0, 1): 24 bits, exact in f32.
fn uniform01(word: u32) -> f32 {
    return f32(word >> 8u) * 5.9604645e-8;
}

// Two standard normals from two uniforms (Box and Muller 1958).
fn normal_pair(a: u32, b: u32) -> vec2<f32> {
    // 1 - u is in (0, 1], so the logarithm is finite; u and 1 - u have the same distribution.
    let r = sqrt(-2.0 * log(1.0 - uniform01(a)));
    // In [-pi, pi), where WGSL says how accurate sin and cos are.
    let t = 6.2831855 * (uniform01(b) - 0.5);
    return vec2<f32>(r * cos(t), r * sin(t));
}

// Four standard normals of one counter.
fn normals(key: vec2<u32>, counter: vec4<u32>) -> vec4<f32> {
    let words = philox(key, counter);
    return vec4<f32>(normal_pair(words.x, words.y), normal_pair(words.z, words.w));
}
