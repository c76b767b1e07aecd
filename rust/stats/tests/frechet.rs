mod common;

use common::{close, diagonal, two_pass, Rng};
use gantools_stats::{
    frechet_features, frechet_features_moments, frechet_moments, Error, Features, Frechet,
    Gaussian, Route,
};

fn moments(mu_a: &[f64], s_a: &[f64], mu_b: &[f64], s_b: &[f64]) -> Result<Frechet, Error> {
    frechet_moments(
        Gaussian::new("first", mu_a, s_a)?,
        Gaussian::new("second", mu_b, s_b)?,
    )
}

/// All routes that apply to two sets of features, each as (route, distance).
fn every_route(a: &[f64], na: usize, b: &[f64], nb: usize, d: usize) -> Vec<Frechet> {
    let (fa, fb) = (
        Features::new(a, na, d).unwrap(),
        Features::new(b, nb, d).unwrap(),
    );
    let ((mu_a, s_a), (mu_b, s_b)) = (two_pass(a, na, d), two_pass(b, nb, d));
    vec![
        frechet_features(&fa, &fb).unwrap(),
        frechet_features_moments(&fa, Gaussian::new("b", &mu_b, &s_b).unwrap()).unwrap(),
        frechet_features_moments(&fb, Gaussian::new("a", &mu_a, &s_a).unwrap()).unwrap(),
        moments(&mu_a, &s_a, &mu_b, &s_b).unwrap(),
        moments(&mu_b, &s_b, &mu_a, &s_a).unwrap(),
    ]
}

#[test]
fn identity_covariances_leave_the_means() {
    let d = 64;
    let eye = diagonal(&vec![1.0; d]);
    let f = moments(&vec![0.0; d], &eye, &vec![1.0; d], &eye).unwrap();
    assert_eq!(
        (f.distance, f.mean_term, f.rank, f.route),
        (64.0, 64.0, d, Route::Cholesky)
    );
}

#[test]
fn one_dimension_is_the_difference_of_standard_deviations() {
    // (mu - nu)^2 + (sigma - tau)^2
    let f = moments(&[3.0], &[4.0], &[-1.0], &[25.0]).unwrap();
    close(f.distance, 16.0 + 9.0, 1e-15);
}

#[test]
fn diagonal_covariances_have_a_closed_form() {
    for d in [1, 2, 33, 64, 200] {
        let mut rng = Rng(d as u64);
        let a: Vec<f64> = (0..d).map(|_| 0.01 + rng.uniform()).collect();
        let b: Vec<f64> = (0..d).map(|_| 0.01 + 4.0 * rng.uniform()).collect();
        let expected: f64 = a
            .iter()
            .zip(&b)
            .map(|(x, y)| (x.sqrt() - y.sqrt()).powi(2))
            .sum();
        let zero = vec![0.0; d];
        close(
            moments(&zero, &diagonal(&a), &zero, &diagonal(&b))
                .unwrap()
                .distance,
            expected,
            1e-12,
        );
    }
}

#[test]
fn spectra_over_24_decades_are_right() {
    let d = 49;
    let a: Vec<f64> = (0..d).map(|i| 10f64.powf(-12.0 + 0.5 * i as f64)).collect();
    let b: Vec<f64> = a.iter().rev().copied().collect();
    let zero = vec![0.0; d];
    let expected: f64 = a
        .iter()
        .zip(&b)
        .map(|(x, y)| (x.sqrt() - y.sqrt()).powi(2))
        .sum();
    close(
        moments(&zero, &diagonal(&a), &zero, &diagonal(&b))
            .unwrap()
            .distance,
        expected,
        1e-10,
    );
}

#[test]
fn repeated_eigenvalues_are_right() {
    let (d, zero) = (40, vec![0.0; 40]);
    let a: Vec<f64> = (0..d).map(|i| if i < 20 { 2.0 } else { 3.0 }).collect();
    let b = vec![2.0; d];
    let expected = 20.0 * (3f64.sqrt() - 2f64.sqrt()).powi(2);
    close(
        moments(&zero, &diagonal(&a), &zero, &diagonal(&b))
            .unwrap()
            .distance,
        expected,
        1e-11,
    );
}

#[test]
fn full_rank_routes_agree() {
    let (na, nb, d) = (300, 200, 24);
    let (a, b) = (Rng(1).features(na, d), Rng(2).features(nb, d));
    for f in every_route(&a, na, &b, nb, d) {
        assert_eq!((f.route, f.rank), (Route::Cholesky, d));
        close(
            f.distance,
            every_route(&a, na, &b, nb, d)[0].distance,
            1e-11,
        );
    }
}

#[test]
fn rank_deficient_routes_agree() {
    let (na, nb, d) = (30, 20, 64);
    let (a, b) = (Rng(3).features(na, d), Rng(4).features(nb, d));
    let all = every_route(&a, na, &b, nb, d);
    let routes: Vec<Route> = all.iter().map(|f| f.route).collect();
    use Route::{Features as FF, FeaturesMoments as FM, TruncatedEigen as TE};
    assert_eq!(routes, [FF, FM, FM, TE, TE]);
    for f in &all {
        close(f.distance, all[0].distance, 1e-7);
        assert_eq!(f.rank, nb - 1, "{:?}", f.route);
    }
}

#[test]
fn one_singular_side_of_two_takes_the_other_ones_factor() {
    let (na, nb, d) = (20, 500, 48);
    let (a, b) = (Rng(5).features(na, d), Rng(6).features(nb, d));
    let all = every_route(&a, na, &b, nb, d);
    assert_eq!(all[4].route, Route::Cholesky);
    for f in &all {
        close(f.distance, all[0].distance, 1e-8);
        assert_eq!(f.rank, na - 1, "{:?}", f.route);
    }
}

#[test]
fn identical_sets_are_at_distance_zero() {
    for (n, d) in [(2, 8), (20, 64), (64, 64), (65, 64), (500, 32), (40, 1)] {
        let a = Rng(7).features(n, d);
        let (_, s) = two_pass(&a, n, d);
        let trace: f64 = (0..d).map(|i| s[i * d + i]).sum();
        for f in every_route(&a, n, &a, n, d) {
            assert!(
                f.distance >= 0.0 && f.distance < 1e-7 * trace,
                "{f:?} n {n} d {d}"
            );
        }
    }
}

#[test]
fn two_samples_have_a_closed_form() {
    // With n = 2 the covariance is v v^T / 2 with v the difference of the two rows, so tr (S_a S_b)^(1/2) = |v . w| / 2.
    let a = [0.0, 0.0, 0.0, 3.0, 4.0, 0.0];
    let b = [1.0, 1.0, 1.0, 1.0, 3.0, 3.0];
    let expected = (0.5f64.powi(2) + 0.0 + 2f64.powi(2)) + 12.5 + 4.0 - 2.0 * (8.0 / 2.0);
    for f in every_route(&a, 2, &b, 2, 3) {
        close(f.distance, expected, 1e-12);
        assert_eq!(f.rank, 1);
    }
}

#[test]
fn constant_sets_leave_the_means_and_never_nan() {
    let (a, b) = (vec![1.0; 5 * 4], vec![3.0; 3 * 4]);
    for f in every_route(&a, 5, &b, 3, 4) {
        assert_eq!((f.distance, f.rank), (16.0, 0));
    }
    let c = Rng(8).features(30, 4);
    let (_, s) = two_pass(&c, 30, 4);
    let trace: f64 = (0..4).map(|i| s[i * 4 + i]).sum();
    for f in every_route(&a, 5, &c, 30, 4) {
        close(f.distance, f.mean_term + trace, 1e-12);
    }
}

#[test]
fn it_is_symmetric_and_scales_with_the_square() {
    let d = 16;
    let (a, b) = (Rng(9).features(100, d), Rng(10).features(90, d));
    let (fa, fb) = (
        Features::new(&a, 100, d).unwrap(),
        Features::new(&b, 90, d).unwrap(),
    );
    let f = frechet_features(&fa, &fb).unwrap();
    close(
        f.distance,
        frechet_features(&fb, &fa).unwrap().distance,
        1e-12,
    );
    let times = |x: &[f64]| x.iter().map(|v| v * 1024.0).collect::<Vec<_>>();
    let (ga, gb) = (
        Features::new(&times(&a), 100, d).unwrap(),
        Features::new(&times(&b), 90, d).unwrap(),
    );
    close(
        frechet_features(&ga, &gb).unwrap().distance,
        f.distance * 1024.0 * 1024.0,
        1e-12,
    );
}

#[test]
fn wrong_input_is_a_named_error() {
    let eye = diagonal(&[1.0, 1.0]);
    let zero = [0.0, 0.0];
    assert_eq!(
        moments(&zero, &eye, &[0.0], &[1.0]).unwrap_err(),
        Error::Dimension { a: 2, b: 1 }
    );
    assert!(matches!(
        moments(&zero, &eye, &zero, &[1.0]),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        moments(&[f64::NAN, 0.0], &eye, &zero, &eye),
        Err(Error::NonFinite { .. })
    ));
    let infinite = [1.0, f64::INFINITY, f64::INFINITY, 1.0];
    assert!(matches!(
        moments(&zero, &eye, &zero, &infinite),
        Err(Error::NonFinite { .. })
    ));
    assert!(matches!(
        moments(&zero, &eye, &zero, &[1.0, 0.5, 0.0, 1.0]),
        Err(Error::NotSymmetric {
            row: 1,
            column: 0,
            ..
        })
    ));
    assert!(matches!(
        moments(&zero, &eye, &zero, &diagonal(&[1.0, -1.0])),
        Err(Error::Indefinite { .. })
    ));
    // Indefinite although its diagonal is not.
    assert!(matches!(
        moments(&zero, &eye, &zero, &[1.0, 2.0, 2.0, 1.0]),
        Err(Error::Indefinite { .. })
    ));
    let huge = diagonal(&[1e300, 1e300]);
    assert!(matches!(
        moments(&zero, &huge, &zero, &huge),
        Err(Error::Overflow { .. })
    ));
    assert_eq!(
        Features::new(&[1.0, 2.0], 1, 2).unwrap_err(),
        Error::TooFew { n: 1 }
    );
    assert!(matches!(
        Features::new(&[1.0, f64::NAN, 0.0, 0.0], 2, 2),
        Err(Error::NonFinite { .. })
    ));
}
