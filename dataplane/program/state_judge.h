// Judges states anew: what would the rules say if the first packet of this flow came now?
//
// The packet is made of what the state remembers: both ends, the protocol, and how the first one
// came in. It is a SYN of TCP, an echo request of ICMP, and carries nothing. The production engine
// judges it, on memory of its own, so that nothing is counted, logged or made that others see; a
// state that it makes there names the rule. On a gateway it goes through both passes, out of the
// interface that the forwarding table says.
//
// Threads: the main thread, while workers run. It allocates.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "common/result.h"
#include "dataplane/program/engine.h"
#include "dataplane/program/runtime.h"
#include "dataplane/route/fib.h"
#include "dataplane/state/state_table.h"

namespace sluice::program {

class StateJudge {
  public:
    struct Spec {
        const Runtime& runtime;
        const table::Store* tables = nullptr;      // null: none has any entry
        const sockets::Owners* sockets = nullptr;  // null: nobody owns one
        const route::Fib* fib = nullptr;           // null: nothing is routed
        std::uint64_t now_ms = 0;                  // since 1970
        std::uint64_t seed = 0;                    // of what `prob` draws
    };
    // All that it names outlives it. An error: there is no memory.
    static Result<std::unique_ptr<StateJudge>> create(const Spec& spec);
    ~StateJudge();

    // The rule that would make the state now, by index in all_rules(); none: the packet would not
    // pass, or pass without a state. Of several the one of the state's name, else the last.
    std::optional<std::uint32_t> judge(const state::StateCopy& state);

  private:
    struct Memory;

    explicit StateJudge(const Spec& spec);
    Result<Done> renew();
    bool passes(packet::Packet& packet, Verdict& verdict);
    bool passes_all(const state::LinkOrigin& origin, packet::Packet& packet);
    packet::InterfaceIndex way_out(const packet::Headers& headers, const Verdict* forwarded) const;
    std::optional<std::uint32_t> made(const state::Cell& before) const;
    void forget();

    Spec spec_;
    std::unique_ptr<Memory> memory_;
    PacketMarks marks_;
};

}  // namespace sluice::program
