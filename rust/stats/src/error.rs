/// Why a number could not be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("{what}: {len} values are not a ({rows}, {columns}) array with at least one column")]
    Shape {
        what: &'static str,
        len: usize,
        rows: usize,
        columns: usize,
    },
    #[error("{what}: not finite (NaN or infinity) at row {row}, column {column}")]
    NonFinite {
        what: &'static str,
        row: usize,
        column: usize,
    },
    #[error("a covariance needs at least 2 samples, there {}", if *.n == 1 { "is 1".to_string() } else { format!("are {n}") })]
    TooFew { n: u64 },
    #[error("{k} nearest neighbours need more than {k} samples, there {}", if *.n == 1 { "is 1".to_string() } else { format!("are {n}") })]
    TooFewNeighbours { n: usize, k: usize },
    #[error("features of different width: {a} and {b}")]
    Dimension { a: usize, b: usize },
    #[error("{what}: not symmetric, entries ({row}, {column}) and ({column}, {row}) differ by {difference:e}")]
    NotSymmetric {
        what: &'static str,
        row: usize,
        column: usize,
        difference: f64,
    },
    #[error("{what}: not positive semi-definite, so it is no covariance (eigenvalue {smallest:e}, largest {largest:e})")]
    Indefinite {
        what: &'static str,
        smallest: f64,
        largest: f64,
    },
    #[error("{what}: too large for double precision")]
    Overflow { what: &'static str },
    #[error("{what}: the iteration did not converge")]
    NoConvergence { what: &'static str },
    #[error("interrupted")]
    Interrupted,
}

pub type Result<T> = std::result::Result<T, Error>;
