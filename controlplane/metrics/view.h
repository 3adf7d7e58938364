// What the metrics show, at one moment, and how it comes from the thread that changes it to the
// threads that tell it.
//
// The event loop of the control plane publishes a `View` whenever something has changed: rules,
// generation, the data plane's coming and going. An HTTP thread looks at the latest one for as long
// as it needs and reads the workers' counters through it, relaxed loads of a mapping that it cannot
// write to. So a scrape waits for nobody, and nobody waits for a scrape.
//
// Threads: `publish` belongs to one thread, which also destroys the views, since what they share
// with the ruleset that goes on changing may be let go only there. `look` is for any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "controlplane/ruleset/ruleset.h"
#include "dataplane/contract/annotations.h"
#include "dataplane/contract/counters.h"
#include "dataplane/contract/message.h"

namespace sluice::metrics {

// The memory that the data plane shares with us.
struct Counters {
    std::vector<const contract::WorkerCounters*> workers;
    std::vector<std::span<const contract::RuleCounters>> rules;  // of each worker, by slot
    std::span<const contract::DeviceStatus> devices;             // by port
    std::span<contract::SlotAnnotation> annotations;             // by slot
    std::shared_ptr<const void> mapping;                         // keeps all that mapped
};

struct TableSize {
    std::string name;
    std::uint32_t entries = 0;
};

// What a data plane says of itself when it greets.
struct DataplaneFacts {
    std::vector<std::string> ports;
    std::uint32_t state_capacity = 0;
    std::uint64_t state_memory = 0;
    std::string dpdk_version;
};

struct View {
    explicit View(const ruleset::Ruleset& rules) : ruleset(rules) {}

    // REQUIRES: the data plane is there.
    std::uint32_t most_states() const {
        return std::min(ruleset.sysctls().dyn_max, dataplane->state_capacity);
    }

    ruleset::Ruleset ruleset;
    std::uint64_t generation = 0;
    std::optional<DataplaneFacts> dataplane;  // none: it is not there
    bool foreign = false;                     // it runs a ruleset that is not `ruleset`
    contract::RulesetCost cost;
    contract::Panic panic = contract::Panic::off;  // these two: as the data plane says
    bool locked = false;
    bool waits_for_confirmation = false;
    Counters counters;
    std::vector<TableSize> tables;
};

class Board {
  public:
    // The view that was the latest when it was asked for; it stays as it is.
    class Lease {
      public:
        Lease(Lease&& other) noexcept : board_(other.board_), kept_(other.kept_) {
            other.board_ = nullptr;
        }
        Lease& operator=(Lease&&) = delete;
        ~Lease();

        const View& operator*() const { return *view(); }
        const View* operator->() const { return view(); }

      private:
        friend class Board;
        struct Kept;
        Lease(Board& board, Kept& kept) : board_(&board), kept_(&kept) {}
        const View* view() const;

        Board* board_;
        Kept* kept_;
    };

    Board();
    ~Board();  // REQUIRES: no lease is left
    Board(const Board&) = delete;
    Board& operator=(const Board&) = delete;

    void publish(std::unique_ptr<const View> view);

    // Nothing before the first `publish`.
    std::optional<Lease> look();

  private:
    std::mutex mutex_;
    std::list<Lease::Kept> kept_;  // the latest is the last
};

}  // namespace sluice::metrics
