//! Self-supervised pre-training of small networks: views from the loader in, weights and curves out.
//!
//! The room to start in is [`train_loop`], the only control flow; [`jobs`] wires everything it needs. Numbers are made in
//! [`method`], [`loss`], [`model`] and [`optim`], which know no files, sockets or terminals. Everything runs on one thread;
//! libtorch brings its own for the arithmetic.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod batch;
pub mod batch_change;
pub mod batch_source;
pub mod batch_stream;
pub mod chart;
pub mod checkpoint;
pub mod cli;
pub mod collapse;
pub mod config;
pub mod curves;
pub mod device;
pub mod differences;
pub mod ema;
pub mod eval;
pub mod failure;
pub mod init_weights;
pub mod jobs;
pub mod learner;
mod libtorch;
pub mod limits;
mod lines;
pub mod loader_process;
pub mod loss;
pub mod machine;
pub mod method;
pub mod metrics;
pub mod model;
pub mod non_finite;
pub mod optim;
pub mod out_of_memory;
pub mod output;
pub mod pass;
pub mod phases;
pub mod pretrained;
pub mod probe;
pub mod progress;
pub mod queue;
pub mod replay;
pub mod report;
pub mod resume;
pub mod run_dir;
pub mod scalars;
pub mod scaler;
pub mod schedule;
pub mod stop;
pub mod subset;
pub mod tensor_file;
pub mod tensorboard;
pub mod train_loop;
pub mod training_data;
pub mod validate;
pub mod world;
