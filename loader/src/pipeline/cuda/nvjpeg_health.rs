//! What nvJPEG's answers about the rounds of a lane mean for those to come: how many files it gets at once, and when it is not asked any more. Words and
//! numbers alone.

use nvjpeg::{Error, Failure};

use crate::pipeline::cuda::nvjpeg_decoders::{Answer, Answers};

/// Most files of a round: the most blocks of a launch along y.
pub(super) const MAX_JPEGS: usize = 65_535;
/// Rounds of fewer files are slower than the CPU's decoder: where nvJPEG has no memory even for so many, it has failed.
const LEAST_JPEGS: usize = 8;
/// Rounds in a row at which engines that failed are not asked again, since the way that is left is slow. More than it takes to halve a round from the most to the least.
const MOST_ENGINE_FAILURES: u32 = 16;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct NvjpegHealth {
    card: String,
    most_jpegs: usize,
    /// Rounds in a row for whose files there was too little memory.
    num_short: u32,
    /// Rounds in a row at which the engines failed.
    num_engine_failures: u32,
}

impl NvjpegHealth {
    pub(super) fn new(card: &str) -> NvjpegHealth {
        NvjpegHealth {
            card: card.to_owned(),
            most_jpegs: MAX_JPEGS,
            num_short: 0,
            num_engine_failures: 0,
        }
    }

    /// Files that a round may have.
    pub(super) fn most_jpegs(&self) -> usize {
        self.most_jpegs
    }

    /// Judges the answers about a round's files, and what the engines failed at. Tells whether nvJPEG has failed for good.
    pub(super) fn judge(&mut self, answers: Vec<Answer>, of_engines: Option<Failure>) -> Answers {
        let of_files = answers.iter().filter_map(|answer| match answer {
            Err(Error::Failed(failure)) if !failure.is_of_the_image() => Some(*failure),
            _ => None,
        });
        let of_files: Vec<Failure> = of_files.collect();
        let mut all = of_files.iter().chain(&of_engines);
        let shortage = all.find(|failure| failure.is_out_of_memory()).copied();
        self.num_short = shortage.map_or(0, |_| self.num_short + 1);
        let may_do_with_less = self.num_short < 2 || self.most_jpegs > LEAST_JPEGS;
        if let (Some(shortage), true) = (shortage, may_do_with_less) {
            self.make_do(answers.len(), shortage);
        }
        let is_for_good = |failure: &Failure| !(may_do_with_less && failure.is_out_of_memory());
        let failure = of_files.into_iter().rfind(is_for_good);
        let failure = failure.or_else(|| self.engines_failed(of_engines));
        Answers { answers, failure }
    }

    /// What nvJPEG holds is given back before the next round; where that did not help, a round has half as many files.
    fn make_do(&mut self, num_jpegs: usize, shortage: Failure) {
        let name = &self.card;
        if self.num_short == 1 {
            tracing::warn!(
                "nvJPEG has too little memory for a batch on {name}, and begins anew: {shortage}"
            );
            return;
        }
        self.most_jpegs = self.most_jpegs.min(num_jpegs).div_ceil(2);
        let num = self.most_jpegs;
        tracing::warn!(
            "nvJPEG has too little memory for {num_jpegs} images at once on {name}: {num} from now on"
        );
    }

    fn engines_failed(&mut self, failure: Option<Failure>) -> Option<Failure> {
        let Some(failure) = failure else {
            self.num_engine_failures = 0;
            return None;
        };
        self.num_engine_failures += 1;
        let name = &self.card;
        tracing::warn!(
            "the JPEG engines of {name} failed; their images were decoded one by one: {failure}"
        );
        (self.num_engine_failures >= MOST_ENGINE_FAILURES).then_some(failure)
    }
}

#[cfg(test)]
mod tests {
    use nvjpeg::{Route, Status};

    use super::*;

    fn failure(status: Status) -> Failure {
        Failure {
            function: "nvjpegDecodeBatched",
            status,
        }
    }

    const SHORT: Status = Status::AllocatorFailure;

    /// So many files of which the first fails.
    fn round(num: usize, status: Status) -> Vec<Answer> {
        let first = Err(Error::Failed(failure(status)));
        let others = (1..num).map(|_| Ok(Route::Hardware));
        std::iter::once(first).chain(others).collect()
    }

    #[test]
    fn a_shortage_is_no_failure_until_rounds_of_a_few_files_are_too_large() {
        let mut health = NvjpegHealth::new("a card");
        let mut num = 100;
        for most in [MAX_JPEGS, 50, 25, 13, 7] {
            assert_eq!(health.judge(round(num, SHORT), None).failure, None);
            assert_eq!(health.most_jpegs(), most);
            num = num.min(most);
        }
        let failed = health.judge(round(num, SHORT), None).failure;
        assert_eq!(failed, Some(failure(SHORT)));
        assert_eq!(health.most_jpegs(), 7);
    }

    #[test]
    fn a_round_that_has_enough_memory_ends_a_shortage() {
        let mut health = NvjpegHealth::new("a card");
        for _ in 0..3 {
            health.judge(round(100, SHORT), None);
            health.judge(vec![Ok(Route::Hardware)], None);
        }
        assert_eq!(health.most_jpegs(), MAX_JPEGS);
    }

    #[test]
    fn a_failure_of_another_kind_is_for_good_unless_an_image_is_to_blame() {
        let mut health = NvjpegHealth::new("a card");
        assert_eq!(health.judge(round(4, Status::BadJpeg), None).failure, None);
        let broken = Status::ExecutionFailed;
        let failed = health.judge(round(4, broken), None).failure;
        assert_eq!(failed, Some(failure(broken)));
    }

    #[test]
    fn engines_are_given_up_where_they_fail_in_many_rounds_in_a_row() {
        let mut health = NvjpegHealth::new("a card");
        let broken = Some(failure(Status::InternalError));
        let by_hybrid = || vec![Ok(Route::Hybrid)];
        for _ in 0..2 {
            for _ in 1..MOST_ENGINE_FAILURES {
                assert_eq!(health.judge(by_hybrid(), broken).failure, None);
            }
            assert_eq!(health.judge(vec![Ok(Route::Hardware)], None).failure, None);
        }
        let failed = (0..MOST_ENGINE_FAILURES).map(|_| health.judge(by_hybrid(), broken).failure);
        assert_eq!(failed.last(), Some(broken));
    }
}
