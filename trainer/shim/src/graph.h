// What graph.rs and graph.cpp say of a graph, in the words of C++.

#pragma once

#include <memory>

struct Graph {
    virtual ~Graph() = default;
    // From here on this thread's work is taken down and not done.
    virtual void begin() = 0;
    virtual void end() = 0;
    // Does what was taken down.
    virtual void replay() = 0;
};

// What makes a graph on the CPU; there is nothing, unless a test brings it.
void torch_shim_graph_on_cpu(std::unique_ptr<Graph> (*make)());
