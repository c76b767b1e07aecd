mod common;

use common::{all_close, two_pass, Rng};
use gantools_stats::{Error, Moments};
use proptest::prelude::*;

fn streamed(x: &[f64], d: usize, batches: &[usize]) -> Moments {
    let mut m = Moments::new(d).unwrap();
    let mut at = 0;
    for &b in batches {
        m.update(&x[at * d..(at + b) * d], b).unwrap();
        at += b;
    }
    assert_eq!(at * d, x.len());
    m
}

#[test]
fn streamed_is_two_pass() {
    let (n, d) = (301, 17);
    let x = Rng(1).features(n, d);
    let m = streamed(&x, d, &[1, 100, 7, 64, 128, 1]);
    let (mean, s) = two_pass(&x, n, d);
    assert_eq!(m.n(), n as u64);
    all_close(m.mean(), &mean, 1e-14);
    all_close(&m.covariance().unwrap(), &s, 1e-13);
}

#[test]
fn covariance_is_exactly_symmetric() {
    let d = 33;
    let s = streamed(&Rng(2).features(50, d), d, &[25, 25])
        .covariance()
        .unwrap();
    for i in 0..d {
        for j in 0..d {
            assert_eq!(s[i * d + j], s[j * d + i]);
        }
    }
}

#[test]
fn single_precision_features_are_summed_in_double() {
    let (n, d) = (1000, 3);
    let x: Vec<f32> = Rng(3)
        .features(n, d)
        .iter()
        .map(|v| (v + 300.0) as f32)
        .collect();
    let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let mut m = Moments::new(d).unwrap();
    for batch in x.chunks(8 * d) {
        m.update(batch, batch.len() / d).unwrap();
    }
    let (mean, s) = two_pass(&wide, n, d);
    all_close(m.mean(), &mean, 1e-14);
    all_close(&m.covariance().unwrap(), &s, 1e-12);
}

#[test]
fn a_large_offset_costs_no_more_than_the_offsets_own_rounding() {
    // At 1e12 neighbouring doubles are 1.2e-4 apart, so that is what any mean can be wrong by; raw sums of squares
    // would be wrong by 1e8.
    let (n, d) = (400, 5);
    let x: Vec<f64> = Rng(4)
        .features(n, d)
        .iter()
        .map(|v| (v * 1024.0).round())
        .collect();
    let shifted: Vec<f64> = x.iter().map(|v| v + 1e12).collect();
    let (mean, s) = two_pass(&x, n, d);
    let m = streamed(&shifted, d, &[100, 100, 100, 100]);
    for (a, b) in m.mean().iter().zip(&mean) {
        assert!((a - 1e12 - b).abs() < 1e-3, "{a} {b}");
    }
    all_close(&m.covariance().unwrap(), &s, 1e-6);
    // One batch is centred on differences from its first row, which are exact.
    all_close(
        &streamed(&shifted, d, &[n]).covariance().unwrap(),
        &s,
        1e-12,
    );
}

#[test]
fn merge_order_changes_rounding_only() {
    let d = 9;
    let parts: Vec<Moments> = [3usize, 40, 1, 17]
        .iter()
        .enumerate()
        .map(|(i, &n)| streamed(&Rng(i as u64 + 10).features(n, d), d, &[n]))
        .collect();
    let join = |order: &[usize]| {
        let mut m = Moments::new(d).unwrap();
        order.iter().for_each(|&i| m.merge(&parts[i]).unwrap());
        m
    };
    let reference = join(&[0, 1, 2, 3]);
    for order in [[3, 2, 1, 0], [1, 3, 0, 2]] {
        let m = join(&order);
        assert_eq!(m.n(), 61);
        all_close(m.mean(), reference.mean(), 1e-13);
        all_close(&m.m2(), &reference.m2(), 1e-13);
    }
}

#[test]
fn state_restores_to_the_last_bit() {
    let d = 6;
    let m = streamed(&Rng(5).features(20, d), d, &[20]);
    let back = Moments::from_state(m.n(), m.mean(), &m.m2()).unwrap();
    assert_eq!(back.covariance().unwrap(), m.covariance().unwrap());
    assert_eq!(back.mean(), m.mean());
}

#[test]
fn constant_features_have_no_variance_at_all() {
    let mut m = Moments::new(3).unwrap();
    for _ in 0..10 {
        m.update(&[0.1, 1e9, -7.3, 0.1, 1e9, -7.3], 2).unwrap();
    }
    assert_eq!(m.mean(), [0.1, 1e9, -7.3]);
    assert!(m.covariance().unwrap().iter().all(|&v| v == 0.0));
}

#[test]
fn wrong_input_is_a_named_error() {
    let mut m = Moments::new(2).unwrap();
    assert_eq!(m.covariance(), Err(Error::TooFew { n: 0 }));
    m.update(&[1.0, 2.0], 1).unwrap();
    assert_eq!(m.covariance(), Err(Error::TooFew { n: 1 }));
    let nan = m.update(&[0.0, 1.0, 2.0, f64::NAN], 2);
    assert_eq!(
        nan,
        Err(Error::NonFinite {
            what: "features",
            row: 1,
            column: 1
        })
    );
    assert_eq!(
        m.n(),
        1,
        "a refused batch must leave the moments as they were"
    );
    assert!(matches!(
        m.update(&[1.0, 2.0, 3.0], 2),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(Moments::new(0), Err(Error::Shape { .. })));
    assert_eq!(
        m.merge(&Moments::new(3).unwrap()),
        Err(Error::Dimension { a: 2, b: 3 })
    );
    assert!(matches!(
        Moments::from_state(1, &[0.0; 2], &[0.0; 3]),
        Err(Error::Shape { .. })
    ));
    let infinite = [0.0, f64::INFINITY, 0.0, 0.0];
    assert!(matches!(
        Moments::from_state(2, &[0.0; 2], &infinite),
        Err(Error::NonFinite { .. })
    ));
}

#[test]
fn an_empty_batch_changes_nothing() {
    let mut m = streamed(&Rng(6).features(4, 2), 2, &[4]);
    let before = m.m2();
    m.update::<f64>(&[], 0).unwrap();
    assert_eq!((m.n(), m.m2()), (4, before));
}

proptest! {
    #[test]
    fn any_split_gives_the_same_moments(cuts in proptest::collection::vec(1usize..20, 1..8), d in 1usize..6, seed: u64) {
        let n: usize = cuts.iter().sum();
        let x = Rng(seed).features(n, d);
        let (a, b) = (streamed(&x, d, &cuts), streamed(&x, d, &[n]));
        // A mean may come out near zero, where only the size of what was summed says what rounding is.
        let largest = x.iter().fold(0.0f64, |l, v| l.max(v.abs()));
        for (p, q) in a.mean().iter().zip(b.mean()) {
            prop_assert!((p - q).abs() <= 1e-14 * largest, "{p} and {q}");
        }
        all_close(&a.m2(), &b.m2(), 1e-11);
    }
}
