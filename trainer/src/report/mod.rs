//! What several runs say, on one page: read, drawn and written. It knows no command line.

pub mod attention;
pub mod charts;
pub mod gallery;
pub mod neighbours;
pub mod page;
pub mod picture;
pub mod recipes;
pub mod run;
pub mod summary;
