mod common;

use std::sync::atomic::AtomicBool;

use common::Rng;
use gantools_stats::{balls, nearest, neighbour_radii, Error, Rows};
use gantools_threads::in_pool;
use proptest::prelude::*;

fn squared(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Small integers, so that every distance is exact and ties abound.
fn lattice(rng: &mut Rng, n: usize, d: usize, levels: f64) -> Vec<f64> {
    (0..n * d)
        .map(|_| (rng.uniform() * levels).floor())
        .collect()
}

proptest! {
    #[test]
    fn every_tie_is_decided_as_by_definition(
        n in 4usize..60, m in 4usize..60, d in 1usize..5, k in 1usize..4, levels in 1.0..6.0f64, seed: u64, closed: bool
    ) {
        let mut rng = Rng(seed);
        let (x, y) = (lattice(&mut rng, n, d, levels), lattice(&mut rng, m, d, levels));
        let stop = AtomicBool::new(false);
        let (rx, ry) = (Rows::new("x", &x, n, d).unwrap(), Rows::new("y", &y, m, d).unwrap());
        let row = |s: &[f64], i: usize| s[i * d..(i + 1) * d].to_vec();
        let radii = |s: &[f64], n: usize| -> Vec<f64> {
            (0..n)
                .map(|i| {
                    let mut all: Vec<f64> = (0..n)
                        .filter(|&j| j != i)
                        .map(|j| squared(&row(s, i), &row(s, j)))
                        .collect();
                    all.sort_by(f64::total_cmp);
                    all[k - 1]
                })
                .collect()
        };
        let (of_x, of_y) = (radii(&x, n), radii(&y, m));
        prop_assert_eq!(&neighbour_radii(rx, k, &stop).unwrap(), &of_x);
        prop_assert_eq!(&neighbour_radii(ry, k, &stop).unwrap(), &of_y);
        let inside = |distance: f64, radius: f64| if closed { distance <= radius } else { distance < radius };
        let (bx, by) = balls(rx, &of_x, ry, &of_y, closed, &stop).unwrap();
        let between = |i: usize, j: usize| squared(&row(&x, i), &row(&y, j));
        for (i, &radius) in of_x.iter().enumerate() {
            let count = |f: &dyn Fn(usize) -> bool| (0..m).filter(|&j| f(j)).count() as u32;
            prop_assert_eq!(bx.inside[i], count(&|j| inside(between(i, j), of_y[j])));
            prop_assert_eq!(bx.holds[i], count(&|j| inside(between(i, j), radius)));
        }
        for (j, &radius) in of_y.iter().enumerate() {
            let count = |f: &dyn Fn(usize) -> bool| (0..n).filter(|&i| f(i)).count() as u32;
            prop_assert_eq!(by.inside[j], count(&|i| inside(between(i, j), of_x[i])));
            prop_assert_eq!(by.holds[j], count(&|i| inside(between(i, j), radius)));
        }
        let (distances, rows) = nearest(rx, ry, &stop).unwrap();
        for i in 0..n {
            let first = (0..m).min_by(|&p, &q| between(i, p).total_cmp(&between(i, q))).unwrap();
            prop_assert_eq!((distances[i], rows[i]), (between(i, first), first as u64));
        }
    }
}

#[test]
fn extreme_scales_are_exact_as_well() {
    // From values that a square brings to infinity in f32, down to those whose square is 0 there.
    let stop = AtomicBool::new(false);
    for scale in [1e130, 1e30, 1.0, 1e-30, 1e-130] {
        let x: Vec<f64> = [0.0, 1.0, 3.0, 7.0].iter().map(|v| v * scale).collect();
        let rows = Rows::new("x", &x, 4, 1).unwrap();
        let expected: Vec<f64> = [1.0, 1.0, 2.0, 4.0]
            .iter()
            .map(|v| (v * scale).powi(2))
            .collect();
        common::all_close(&neighbour_radii(rows, 1, &stop).unwrap(), &expected, 1e-14);
        // A far point forces a scale in which the others are all 0.
        let mut far = x.clone();
        far.push(1e139);
        let rows = Rows::new("far", &far, 5, 1).unwrap();
        if scale < 1e100 {
            let found = neighbour_radii(rows, 1, &stop).unwrap();
            common::all_close(&found[..4], &expected, 1e-14);
        }
    }
}

#[test]
fn threads_and_blocks_do_not_matter() {
    let (n, d) = (2600, 7);
    let x: Vec<f32> = Rng(3).features(n, d).iter().map(|&v| v as f32).collect();
    let rows = Rows::new("x", &x, n, d).unwrap();
    let stop = AtomicBool::new(false);
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let single = one.install(|| neighbour_radii(rows, 3, &stop).unwrap());
    assert_eq!(in_pool(|| neighbour_radii(rows, 3, &stop).unwrap()), single);
    // Backwards, other rows share a block.
    let back: Vec<f32> = x.chunks(d).rev().flatten().copied().collect();
    let mut turned = neighbour_radii(Rows::new("x", &back, n, d).unwrap(), 3, &stop).unwrap();
    turned.reverse();
    assert_eq!(turned, single);
}

#[test]
fn what_has_no_neighbours_is_said() {
    let stop = AtomicBool::new(false);
    let x = [1.0, 2.0];
    let rows = Rows::new("x", &x, 2, 1).unwrap();
    assert_eq!(
        neighbour_radii(rows, 2, &stop),
        Err(Error::TooFewNeighbours { n: 2, k: 2 })
    );
    let none: Rows<f64> = Rows::new("none", &[], 0, 1).unwrap();
    assert!(nearest(rows, none, &stop).is_err());
    assert!(balls(rows, &[1.0], rows, &[1.0, 1.0], true, &stop).is_err());
    let wide = Rows::new("wide", &x, 1, 2).unwrap();
    assert_eq!(
        nearest(rows, wide, &stop),
        Err(Error::Dimension { a: 1, b: 2 })
    );
    let stopped = AtomicBool::new(true);
    assert_eq!(nearest(rows, rows, &stopped), Err(Error::Interrupted));
}
