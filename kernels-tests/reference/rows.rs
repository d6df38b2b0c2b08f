/// The rows of `x`, V views of rows of `width` values behind each other, part by part: of every view as many as
/// `rows` says, in order.
pub fn split<T: Copy>(x: &[T], views: usize, rows: &[usize], width: usize) -> Vec<Vec<T>> {
    let of_view = x.len() / views;
    let mut parts = vec![Vec::new(); rows.len()];
    for view in x.chunks(of_view) {
        let mut rest = view.chunks(width);
        for (part, rows) in parts.iter_mut().zip(rows) {
            part.extend(rest.by_ref().take(*rows).flatten());
        }
    }
    parts
}

/// What [`split`] takes apart.
pub fn join<T: Copy>(parts: &[Vec<T>], views: usize) -> Vec<T> {
    let of_view = |view: usize| {
        parts.iter().flat_map(move |part| {
            let len = part.len() / views;
            &part[view * len..(view + 1) * len]
        })
    };
    (0..views).flat_map(of_view).copied().collect()
}

#[test]
fn two_views_by_hand() {
    // View a: rows 1 2, 3 4, 5 6; view b: rows 7 8, 9 10, 11 12.
    let x: Vec<u32> = (1..=12).collect();
    let parts = split(&x, 2, &[1, 2], 2);
    assert_eq!(parts, [vec![1, 2, 7, 8], vec![3, 4, 5, 6, 9, 10, 11, 12]]);
    assert_eq!(join(&parts, 2), x);
}
