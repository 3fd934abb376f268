//! kNN against a loop over samples.

use trainer::eval::knn::{KnnConfig, leave_one_out};

use crate::oracle::Oracle;

#[test]
fn knn_agrees_with_a_loop_over_samples_in_every_case() {
    let oracle = Oracle::run("train_knn");
    for case in ["many", "fewer_samples_than_k", "fewer_classes_than_five"] {
        let features = oracle.get(&format!("{case}/features"));
        let labels = oracle.get(&format!("{case}/labels"));
        let scores = leave_one_out(features, labels, &KnnConfig::default());
        let (top1, top5) = (
            oracle.value(&format!("{case}/top1")),
            oracle.value(&format!("{case}/top5")),
        );
        assert!(
            (scores.top1 - top1).abs() < 0.1,
            "{case}: {} {top1}",
            scores.top1
        );
        assert!(
            (scores.top5 - top5).abs() < 0.1,
            "{case}: {} {top5}",
            scores.top5
        );
        assert!(
            top1 > 20.0 && (case != "many" || top5 < 100.0),
            "the case can fail"
        );
    }
}
