// Stored bytes lie four to a word, the lowest first.
const CHANNELS: u32 = 3u; // 1 or 3

// Byte `at`, given the word at / 4.
fn byte_of(word: u32, at: u32) -> u32 {
    return word >> ((at & 3u) * 8u) & 255u;
}
