//! A stand-in for CUDA graphs, for tests: it does to operations of the CPU what CUDA does to launches, so that a step that is recorded and replayed
//! can be held against one that is not, without a card.
//!
//! While it records, results have their shapes and no values, nothing that was there before is written, numbers of the host are taken down
//! as they are, and values may not be read. Replaying runs the same operations on the same memory. It cannot see what no operation
//! makes: a tensor that is made from numbers of the host is taken down as it is, as on a card.

#![allow(unsafe_code)]

/// From now on [`torch_shim::graph::Graph`] records on the CPU too.
pub fn install() {
    // SAFETY: the call sets a function that makes graphs.
    unsafe { graph_standin_install() };
}

unsafe extern "C" {
    fn graph_standin_install();
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};
    use torch_shim::graph::Graph;

    use super::*;

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn a_replay_computes_with_what_lies_there_then_and_with_the_numbers_of_the_recording() {
        install();
        let input = Tensor::full([3], 1.0, CPU);
        let mut sum = Tensor::zeros([3], CPU);
        let mut factor = 2.0;
        let (graph, product) = Graph::record(Device::Cpu, || {
            let product = &input * factor;
            let _ = sum.g_add_(&product);
            product
        });
        assert!(product.double_value(&[0]).is_nan() && sum.double_value(&[0]) == 0.0);
        factor = 100.0;
        for (value, wanted_sum) in [(1.0, 2.0), (5.0, 12.0)] {
            let _ = input.shallow_clone().fill_(value);
            graph.replay();
            assert_eq!(
                (product.double_value(&[1]), sum.double_value(&[1])),
                (2.0 * value, wanted_sum)
            );
        }
        assert!(factor > 2.0);
    }

    #[test]
    fn gradients_and_random_numbers_are_replayed() {
        install();
        let weight = Tensor::ones([4], CPU).set_requires_grad(true);
        let step = || {
            let noise = Tensor::rand([4], CPU);
            let loss = (weight.square() * noise).sum(Kind::Float);
            let gradients = Tensor::run_backward(&[loss], &[&weight], false, false);
            gradients[0].shallow_clone()
        };
        let (graph, gradient) = Graph::record(Device::Cpu, step);
        for seed in [3, 4] {
            tch::manual_seed(seed);
            graph.replay();
            tch::manual_seed(seed);
            assert_eq!(gradient, step());
        }
    }

    #[test]
    fn values_are_not_read_while_they_are_recorded() {
        install();
        let input = Tensor::ones([2], CPU);
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            Graph::record(Device::Cpu, || input.double_value(&[0]))
        }));
        let told = *read.unwrap_err().downcast::<String>().unwrap();
        assert!(told.contains("no values to read"), "{told}");
        assert_eq!(input.double_value(&[0]), 1.0, "recording has ended");
    }
}
