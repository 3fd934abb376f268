//! kNN against a loop over samples.

use trainer::eval::knn::{KnnConfig, Labelled, by_others, leave_one_out};

use crate::oracle::Oracle;

#[test]
fn a_split_is_classified_by_another_as_by_a_loop() {
    let oracle = Oracle::run("train_knn");
    let [samples, others] = ["samples", "others"].map(|part| {
        let get = |key: &str| oracle.get(&format!("two_splits/{part}/{key}"));
        (get("features"), get("labels"))
    });
    let pair = |(features_nd, labels_n)| Labelled {
        features_nd,
        labels_n,
    };
    let scores = by_others(pair(samples), pair(others), &KnnConfig::default());
    let [top1, top5] = ["top1", "top5"].map(|key| oracle.value(&format!("two_splits/{key}")));
    assert!((scores.top1 - top1).abs() < 0.2, "{} {top1}", scores.top1);
    assert!((scores.top5 - top5).abs() < 0.2, "{} {top5}", scores.top5);
    assert!(
        top1 > 20.0 && top5 < 100.0,
        "the case can fail: {top1} {top5}"
    );
}

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
