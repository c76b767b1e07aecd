mod common;

use std::sync::atomic::AtomicBool;

use common::{close, Rng};
use gantools_stats::{kernel_cross_sums, kernel_self_sums, Error, Kernel, Rows};

const CUBIC: Kernel = Kernel::Polynomial {
    gamma: 0.2,
    coef: 1.0,
    degree: 3,
};

fn value(kernel: Kernel, x: &[f64], y: &[f64]) -> f64 {
    let pairs = x.iter().zip(y);
    match kernel {
        Kernel::Polynomial {
            gamma,
            coef,
            degree,
        } => (gamma * pairs.map(|(a, b)| a * b).sum::<f64>() + coef).powi(degree as i32),
        Kernel::Gaussian { sigma } => {
            (-pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / (2.0 * sigma * sigma)).exp()
        }
    }
}

#[test]
fn sums_are_those_of_every_pair() {
    let d = 5;
    for (n, m) in [(1, 1), (2, 3), (70, 41), (2049, 3)] {
        let (x, y) = (Rng(1).features(n, d), Rng(2).features(m, d));
        let (rx, ry) = (
            Rows::new("x", &x, n, d).unwrap(),
            Rows::new("y", &y, m, d).unwrap(),
        );
        for kernel in [CUBIC, Kernel::Gaussian { sigma: 1.5 }] {
            let stop = AtomicBool::new(false);
            let own = kernel_self_sums(rx, kernel, &stop).unwrap();
            let (of_x, of_y) = kernel_cross_sums(rx, ry, kernel, &stop).unwrap();
            let row = |i: usize| &x[i * d..(i + 1) * d];
            let other = |j: usize| &y[j * d..(j + 1) * d];
            for i in (0..n).step_by(1 + n / 50) {
                let others = (0..n).filter(|&j| j != i);
                let expected: f64 = others.map(|j| value(kernel, row(i), row(j))).sum();
                close(own.others[i], expected, 1e-11);
                close(own.diagonal[i], value(kernel, row(i), row(i)), 1e-12);
                let expected: f64 = (0..m).map(|j| value(kernel, row(i), other(j))).sum();
                close(of_x[i], expected, 1e-11);
            }
            for (j, found) in of_y.iter().enumerate() {
                let expected: f64 = (0..n).map(|i| value(kernel, row(i), other(j))).sum();
                close(*found, expected, 1e-11);
            }
        }
    }
}

#[test]
fn a_gaussian_loses_nothing_to_a_common_offset() {
    let x: Vec<f64> = [0.0, 1.0, 3.0].iter().map(|v| v + 1e8).collect();
    let rows = Rows::new("x", &x, 3, 1).unwrap();
    let stop = AtomicBool::new(false);
    let sums = kernel_self_sums(rows, Kernel::Gaussian { sigma: 1.0 }, &stop).unwrap();
    close(sums.others[0], (-0.5_f64).exp() + (-4.5_f64).exp(), 1e-7);
    assert_eq!(sums.diagonal, [1.0; 3]);
}

#[test]
fn what_cannot_be_summed_is_said() {
    let stop = AtomicBool::new(false);
    let x = [1.0, f64::NAN];
    assert!(matches!(
        Rows::new("x", &x, 1, 2),
        Err(Error::NonFinite {
            what: "x",
            row: 0,
            column: 1
        })
    ));
    assert!(matches!(
        Rows::new("x", &[1e200], 1, 1),
        Err(Error::Overflow { .. })
    ));
    assert!(matches!(
        Rows::new("x", &[1.0; 3], 2, 2),
        Err(Error::Shape { .. })
    ));
    let (x, y) = ([1e120, 1e120], [1.0, 2.0, 3.0]);
    let wide = Rows::new("x", &x, 2, 1).unwrap();
    assert!(matches!(
        kernel_self_sums(wide, CUBIC, &stop),
        Err(Error::Overflow { .. })
    ));
    let other = Rows::new("y", &y, 1, 3).unwrap();
    assert_eq!(
        kernel_cross_sums(wide, other, CUBIC, &stop),
        Err(Error::Dimension { a: 1, b: 3 })
    );
    let stopped = AtomicBool::new(true);
    assert_eq!(
        kernel_cross_sums(wide, wide, CUBIC, &stopped),
        Err(Error::Interrupted)
    );
}
