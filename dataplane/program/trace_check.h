// Holds a trace against the engine that workers run: the packet is judged once more, on memory of
// its own in which there is nothing but the states of its flow.
//
// Threads: the main thread; takes memory and time, changes nothing that others see.
#pragma once

#include "dataplane/program/tracer.h"

namespace sluice::program {

// REQUIRES: `trace` is that of the packet, in this world. The packet's frame is still there.
contract::TraceCheck check_trace(const TraceWorld& world, const packet::Packet& packet,
                                 contract::ChanceIs chance, const Trace& trace);

}  // namespace sluice::program
