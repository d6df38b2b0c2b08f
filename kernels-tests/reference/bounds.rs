use super::Out;

/// Of each x the sum of three chains from x, x + 1 and x + 2: `a <- a factor + term`, `steps` times.
pub fn multiply_adds(x: &[f64], steps: usize, factor: f64, term: f64) -> Out {
    let chain = |from: f64| {
        (0..steps).fold((from, from.abs()), |(value, mag), _| {
            (value * factor + term, mag * factor.abs() + term.abs())
        })
    };
    let of = |x: &f64| [0.0, 1.0, 2.0].map(|more| chain(x + more));
    let (mut value, mut mag) = (Vec::new(), Vec::new());
    for chains in x.iter().map(of) {
        value.push(chains.iter().map(|(value, _)| value).sum());
        mag.push(chains.iter().map(|(_, mag)| mag).sum());
    }
    Out { value, mag }
}

#[test]
fn by_hand() {
    // From 1: 1, 1.5, 1.75; from 2: 2, 2, 2; from 3: 3, 2.5, 2.25.
    let out = multiply_adds(&[1.0], 2, 0.5, 1.0);
    assert_eq!((out.value, out.mag), (vec![6.0], vec![6.0]));
    let out = multiply_adds(&[1.0, 0.0], 1, -1.0, 1.0);
    assert_eq!((out.value, out.mag), (vec![-3.0, 0.0], vec![9.0, 6.0]));
}
