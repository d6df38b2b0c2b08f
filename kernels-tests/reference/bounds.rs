use super::Out;

/// Of every four x: a + b + c after `steps` steps of `a, b, c <- a factor + b', b factor + c', c factor + a'` from
/// x, x + 1 and x + 2, where v' is v turned by one element.
pub fn multiply_adds(x: &[f64], steps: usize, factor: f64) -> Out {
    let (mut value, mut mag) = (Vec::new(), Vec::new());
    for four in x.chunks(4) {
        for (out, factor, sign) in [(&mut value, factor, false), (&mut mag, factor.abs(), true)] {
            let start = |more: f64| -> Vec<f64> {
                let of = |x: &f64| if sign { (x + more).abs() } else { x + more };
                four.iter().map(of).collect()
            };
            let mut chains = [0.0, 1.0, 2.0].map(start);
            for _ in 0..steps {
                chains = std::array::from_fn(|chain| {
                    let (own, next) = (&chains[chain], &chains[(chain + 1) % 3]);
                    (0..4).map(|i| own[i] * factor + next[(i + 1) % 4]).collect()
                });
            }
            out.extend((0..4).map(|i| chains.iter().map(|chain| chain[i]).sum::<f64>()));
        }
    }
    Out { value, mag }
}

#[test]
fn by_hand() {
    let out = multiply_adds(&[1.0, 2.0, -4.0, 0.0], 0, 0.5);
    assert_eq!((out.value, out.mag), (vec![6.0, 9.0, -9.0, 3.0], vec![6.0, 9.0, 9.0, 3.0]));
    // a = 1/2 of itself plus (3, -3, 1, 2), b plus (4, -2, 2, 3), c plus (2, -4, 0, 1).
    let out = multiply_adds(&[1.0, 2.0, -4.0, 0.0], 1, 0.5);
    assert_eq!(out.value, [12.0, -4.5, -1.5, 7.5]);
}
