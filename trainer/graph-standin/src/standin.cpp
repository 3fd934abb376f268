// The C++ side of lib.rs.

#include "graph.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <limits>
#include <string>
#include <vector>

namespace {

using torch::jit::Stack;

// Below autograd, above every kernel; libtorch leaves it to others.
constexpr c10::DispatchKey KEY = c10::DispatchKey::Fake;

struct Operation {
    c10::OperatorHandle handle;
    Stack arguments;
    Stack results;  // empty where it writes to its arguments
};

thread_local std::vector<Operation> *recording = nullptr;

// A value with every tensor in it changed.
template <typename F> c10::IValue each_tensor(const c10::IValue &value, F change) {
    if (value.isTensor()) return value.toTensor().defined() ? c10::IValue(change(value.toTensor())) : value;
    if (!value.isTensorList()) return value;
    std::vector<at::Tensor> changed;
    for (const at::Tensor &tensor : value.toTensorVector()) changed.push_back(tensor.defined() ? change(tensor) : tensor);
    return changed;
}

bool writes(const c10::FunctionSchema &schema) {
    for (const auto &argument : schema.arguments()) {
        if (argument.alias_info() && argument.alias_info()->isWrite()) return true;
    }
    return false;
}

// A view, or memory without values.
bool only_makes_a_place(const c10::FunctionSchema &schema) {
    const std::string &name = schema.name();
    if (name.rfind("aten::empty", 0) == 0 || name.rfind("aten::new_empty", 0) == 0) return true;
    return !schema.returns().empty() && schema.returns()[0].alias_info();
}

void refuse_reading(const std::string &name) {
    for (const char *reads : {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::masked_select"}) {
        TORCH_CHECK(name != reads, "while work is recorded there are no values to read: ", name);
    }
}

at::Tensor without_values(const at::Tensor &tensor) {
    return tensor.is_floating_point() ? tensor.fill_(std::numeric_limits<double>::quiet_NaN()) : tensor;
}

// What an operation that writes gives back: the arguments that it writes to.
void leave_written(const c10::FunctionSchema &schema, const Stack &arguments, Stack *stack) {
    for (const auto &result : schema.returns()) {
        for (size_t i = 0; i < arguments.size(); ++i) {
            const auto *alias = schema.arguments()[i].alias_info();
            if (alias && result.alias_info() && alias->beforeSets() == result.alias_info()->beforeSets()) stack->push_back(arguments[i]);
        }
    }
}

void record(const c10::OperatorHandle &handle, Stack *stack) {
    c10::impl::ExcludeDispatchKeyGuard not_recorded(KEY);
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    const auto &schema = handle.schema();
    refuse_reading(schema.name());
    if (!recording || (!writes(schema) && only_makes_a_place(schema))) return handle.callBoxed(stack);
    size_t num = schema.arguments().size();
    Stack arguments(stack->end() - num, stack->end());
    stack->erase(stack->end() - num, stack->end());
    if (writes(schema)) {
        leave_written(schema, arguments, stack);
        recording->push_back({handle, arguments, {}});
        return;
    }
    // On copies, as some operations write where their schema does not say so (batch normalisation's running statistics).
    Stack results;
    for (const auto &argument : arguments) results.push_back(each_tensor(argument, [](const at::Tensor &tensor) { return tensor.clone(); }));
    handle.callBoxed(&results);
    for (const auto &result : results) each_tensor(result, without_values);
    stack->insert(stack->end(), results.begin(), results.end());
    recording->push_back({handle, std::move(arguments), std::move(results)});
}

void run_again(const Operation &operation) {
    Stack stack = operation.arguments;
    operation.handle.callBoxed(&stack);
    for (size_t i = 0; i < operation.results.size(); ++i) {
        std::vector<at::Tensor> computed;
        each_tensor(stack[i], [&](const at::Tensor &tensor) { return computed.emplace_back(tensor); });
        size_t next = 0;
        each_tensor(operation.results[i], [&](const at::Tensor &place) { return place.copy_(computed.at(next++)); });
    }
}

class OnCpu : public Graph {
    std::vector<Operation> operations;
    at::Tensor random_state;

    void set_recording(bool is_on) {
        recording = is_on ? &operations : nullptr;
        c10::impl::tls_set_dispatch_key_included(KEY, is_on);
    }

public:
    ~OnCpu() override {
        if (recording == &operations) set_recording(false);
    }

    void begin() override {
        static torch::Library library(torch::Library::IMPL, "_", KEY, __FILE__, __LINE__);
        static bool is_registered = (library.fallback(torch::CppFunction::makeFromBoxedFunction<&record>()), true);
        (void)is_registered;
        random_state = at::detail::getDefaultCPUGenerator().get_state();
        set_recording(true);
    }

    void end() override {
        set_recording(false);
        at::Generator generator = at::detail::getDefaultCPUGenerator();
        generator.set_state(random_state);
    }

    void replay() override {
        at::AutoDispatchBelowADInplaceOrView below_autograd;
        for (const auto &operation : operations) run_again(operation);
    }
};

}  // namespace

extern "C" void graph_standin_install() {
    torch_shim_graph_on_cpu([]() -> std::unique_ptr<Graph> { return std::make_unique<OnCpu>(); });
}
