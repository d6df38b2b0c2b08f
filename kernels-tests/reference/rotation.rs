/// `[S, S, C]` turned counter-clockwise by 90 degrees so many times, one at a time.
pub fn turned(image: &[u8], side: usize, channels: usize, times: u32) -> Vec<u8> {
    let mut image = image.to_vec();
    for _ in 0..times {
        let before = image.clone();
        for row in 0..side {
            for column in 0..side {
                // The right edge becomes the top one.
                let source = (column * side + side - 1 - row) * channels;
                let to = (row * side + column) * channels;
                image[to..to + channels].copy_from_slice(&before[source..source + channels]);
            }
        }
    }
    image
}

#[test]
fn a_turn_by_hand() {
    // 1 2   2 4
    // 3 4   1 3
    assert_eq!(turned(&[1, 2, 3, 4], 2, 1, 1), [2, 4, 1, 3]);
    assert_eq!(turned(&[1, 2, 3, 4], 2, 1, 4), [1, 2, 3, 4]);
}
