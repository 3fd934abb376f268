//! Which job a configuration describes.

/// What `EVAL_METHOD` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Nothing: pre-training.
    Pretraining,
    /// `Linear`: a linear classifier on a frozen backbone.
    Linear,
    /// `Semi`: everything is fine-tuned on few labels.
    SemiSupervised,
}

impl Job {
    /// The job of this name, in any case of letters.
    pub(super) fn named(name: &str) -> Option<Job> {
        match name.to_lowercase().as_str() {
            "" => Some(Job::Pretraining),
            "linear" => Some(Job::Linear),
            "semi" => Some(Job::SemiSupervised),
            _ => None,
        }
    }
}
