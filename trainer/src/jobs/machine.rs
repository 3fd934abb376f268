//! The machine of a run: the device that was chosen, in the precision that was asked for.

use tch::Device;

use crate::config::Settings;
use crate::device::Chosen;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::model::precision::Precision;

/// One process on the chosen device.
///
/// # Errors
/// Where fp16 was asked for and there is no GPU: a CPU computes it many times slower than single precision. Where a CUDA graph was, too.
pub(super) fn of(settings: &Settings, chosen: &Chosen) -> Result<Machine, Failure> {
    if settings.precision == Precision::Fp16 && chosen.device == Device::Cpu {
        return Err(Failure::Usage(format!(
            "fp16 (USE_FP16 True or TRAIN.PRECISION fp16) needs a GPU; {}; set USE_FP16 False and TRAIN.PRECISION bf16, or fp32",
            chosen.reason
        )));
    }
    if settings.records && chosen.device == Device::Cpu {
        return Err(Failure::Usage(format!(
            "a CUDA graph (TRAIN.CUDA_GRAPH True) needs a GPU; {}; set TRAIN.CUDA_GRAPH False",
            chosen.reason
        )));
    }
    Ok(Machine {
        records: settings.records,
        ..Machine::alone(chosen.device, settings.precision)
    })
}
