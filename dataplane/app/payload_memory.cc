#include "dataplane/app/payload_memory.h"

#include "dataplane/app/state_memory.h"

namespace sluice::dataplane {

// A quarter of the memory is for segments that wait for those before them. The rest is what the
// streams of one object may take: most rulesets have one, and the pages come as they are used.
PayloadMemory::PayloadMemory(const config::DataPlane& settings,
                             std::vector<worker::WorkerMemory>& memory) {
    const std::size_t bytes = (std::size_t{settings.payload_memory_mb} << 20) / memory.size();
    const std::size_t flows = cells_per_worker(settings.payload_flows, memory.size());
    capacity_ = {.readers = static_cast<unsigned>(memory.size()) + 1,
                 .streams = 2 * flows,
                 .stream_memory = bytes / 4 * 3};
    for (std::size_t i = 0; i < memory.size(); ++i) {
        program::EngineOutputs& outputs = memory[i].outputs;
        flows_.push_back(std::make_unique<payload::FlowStreams>(
            payload::FlowStreams::Spec{.cells = outputs.states->cell_count(),
                                       .flows = flows,
                                       .segments = bytes / 4 / payload::TcpOrder::kPieceSize,
                                       .reader = static_cast<unsigned>(i),
                                       .counters = memory[i].counters}));
        outputs.states->tell_ends(flows_.back()->ends());
        outputs.flows = flows_.back().get();
        outputs.reader = static_cast<unsigned>(i);
        outputs.payload = memory[i].counters;
    }
}

}  // namespace sluice::dataplane
