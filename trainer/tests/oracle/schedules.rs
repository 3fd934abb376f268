//! Schedules against numpy.

use trainer::schedule::{Schedule, TeacherTemperature};

use crate::oracle::Oracle;

#[track_caller]
fn assert_equal(case: &str, found: f64, wanted: f64, index: usize) {
    let difference = (found - wanted).abs();
    assert!(
        difference <= 1e-14,
        "{case}[{index}]: {found} instead of {wanted}"
    );
}

#[test]
fn rates_by_step_and_temperatures_by_epoch_agree_with_numpy() {
    let oracle = Oracle::run("train_schedules");
    for case in [
        "lr_dino",
        "lr_swav",
        "lr_vit",
        "weight_decay",
        "momentum",
        "all_warm_up",
    ] {
        let [base, end, start, epochs, warmup, steps] = oracle.values(&format!("{case}/of"))[..]
        else {
            panic!("{case} has six parameters")
        };
        let schedule = Schedule::cosine(base, end, (epochs * steps) as u64)
            .with_warmup(start, (warmup * steps) as u64);
        let wanted = oracle.values(case);
        assert_eq!(wanted.len() as f64, epochs * steps);
        for (step, wanted) in wanted.into_iter().enumerate() {
            assert_equal(case, schedule.at(step as u64), wanted, step);
        }
    }
    for case in ["temp_long", "temp_vit", "temp_cut", "temp_one", "temp_none"] {
        let of = oracle.values(&format!("{case}/of"));
        let temperature = TeacherTemperature {
            start: of[0],
            end: of[1],
            warmup_epochs: of[2] as u64,
        };
        for (epoch, wanted) in oracle.values(case).into_iter().enumerate() {
            assert_equal(case, temperature.at(epoch as u64), wanted, epoch);
        }
    }
}
