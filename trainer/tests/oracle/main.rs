//! The trainer against PyTorch, torchvision and numpy. One binary, because linking libtorch takes long.
//!
//! Each `scripts/reference/train_*.py` computes a subject on its own and writes an `.npz`; a missing Python is a failure, not a
//! skip. Tolerances are relative to the largest value of the tensor compared, and stated where they are used.

mod classifier;
mod config_values;
mod configs;
mod exports;
mod graphs;
mod init;
mod knn;
mod late;
mod loss;
mod models;
mod non_finite;
mod optim;
mod oracle;
mod precision;
mod pretrained;
mod program;
mod ranks;
mod replay;
mod replay_files;
mod resume;
mod runs;
mod scaler;
mod schedules;
mod settings;
mod steps;
