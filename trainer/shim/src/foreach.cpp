// The C++ side of foreach.rs, which says what each function does: lists of tensors are arrays of pointers.

#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/stack.h>
#include <vector>

#include "caught.h"

namespace {

using Tensors = std::vector<at::Tensor>;

Tensors list(at::Tensor *const *tensors, size_t n) {
    Tensors owned;
    owned.reserve(n);
    for (size_t i = 0; i < n; ++i) owned.push_back(*tensors[i]);
    return owned;
}

}  // namespace

extern "C" {

char *torch_shim_lerp(at::Tensor *const *self, at::Tensor *const *end, size_t n, double weight) {
    return caught([&] { at::_foreach_lerp_(list(self, n), list(end, n), weight); });
}

char *torch_shim_norms(at::Tensor *const *self, size_t n, at::Tensor **norms) {
    return caught([&] { *norms = new at::Tensor(at::stack(at::_foreach_norm(list(self, n)))); });
}

char *torch_shim_sgd(at::Tensor *const *params, at::Tensor *const *updates, at::Tensor *const *buffers, size_t n,
                        double weight_decay, double momentum, double lr, bool nesterov) {
    return caught([&] {
        Tensors mu = momentum == 0.0 ? Tensors{} : list(buffers, n);  // libtorch wants none where none is used
        at::_fused_sgd_(list(params, n), list(updates, n), mu, weight_decay, momentum, lr, /*dampening=*/0.0, nesterov,
                        /*maximize=*/false, /*is_first_step=*/false);
    });
}

char *torch_shim_adamw(at::Tensor *const *params, at::Tensor *const *gradients, at::Tensor *const *first,
                          at::Tensor *const *second, at::Tensor *const *num_steps, size_t n, double lr, double beta_1,
                          double beta_2, double weight_decay, double eps) {
    return caught([&] {
        at::_fused_adamw_(list(params, n), list(gradients, n), list(first, n), list(second, n), /*max_exp_avg_sqs=*/{},
                          list(num_steps, n), lr, beta_1, beta_2, weight_decay, eps, /*amsgrad=*/false, /*maximize=*/false);
    });
}

}
