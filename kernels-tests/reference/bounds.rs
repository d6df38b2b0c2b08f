use super::Out;

/// Of every four x: a + b + c after `steps` steps of `a, b, c <- a factor + b', b factor + c', c factor + a'` from
/// x, x + 1 and x + 2, where v' is v turned by one element.
pub fn multiply_adds(x: &[f64], steps: usize, factor: f64) -> Out {
    let (mut value, mut mag) = (Vec::new(), Vec::new());
    for four in x.chunks(4) {
        let start = [0.0, 1.0, 2.0].map(|more| std::array::from_fn(|i| four[i] + more));
        value.extend(sums(start, steps, factor));
        mag.extend(sums(start.map(|v| v.map(f64::abs)), steps, factor.abs()));
    }
    Out { value, mag }
}

fn sums(mut chains: [[f64; 4]; 3], steps: usize, factor: f64) -> [f64; 4] {
    for _ in 0..steps {
        chains = std::array::from_fn(|chain| {
            let (own, next) = (chains[chain], chains[(chain + 1) % 3]);
            std::array::from_fn(|i| own[i] * factor + next[(i + 1) % 4])
        });
    }
    std::array::from_fn(|i| chains.iter().map(|chain| chain[i]).sum())
}

#[test]
fn by_hand() {
    let out = multiply_adds(&[1.0, 2.0, -4.0, 0.0], 0, 0.5);
    assert_eq!((out.value, out.mag), (vec![6.0, 9.0, -9.0, 3.0], vec![6.0, 9.0, 9.0, 3.0]));
    // a = 1/2 of itself plus (3, -3, 1, 2), b plus (4, -2, 2, 3), c plus (2, -4, 0, 1).
    let out = multiply_adds(&[1.0, 2.0, -4.0, 0.0], 1, 0.5);
    assert_eq!(out.value, [12.0, -4.5, -1.5, 7.5]);
}
