// The tables of the data plane, and batches of changes to them as they come from the control plane.
//
// Threads: the main thread, but for what workers read (dataplane/table/table_store.h). Nothing in a
// batch is trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "dataplane/contract/message.h"
#include "dataplane/contract/table.h"
#include "dataplane/table/table_batch.h"
#include "dataplane/table/table_store.h"
#include "dataplane/worker/active_runtime.h"

namespace sluice::dataplane {

class TableMemory {
  public:
    // The workers that `runtime` knows must have stopped when this goes.
    TableMemory(const worker::ActiveRuntime& runtime, std::vector<std::string> interfaces,
                unsigned workers, std::uint64_t secret);

    const table::Store& store() const { return store_; }
    std::vector<contract::TableDescriptor> descriptors() const { return store_.descriptors(); }

    Result<std::vector<std::byte>> change(std::span<const std::byte> batch,
                                          contract::TablesMode mode, std::uint32_t uptime_s,
                                          table::Meanwhile* meanwhile = nullptr);
    bool prepared() const { return store_.prepared(); }
    void commit() { store_.commit(); }
    // See table::Store::announce.
    void announce(std::uint64_t ruleset) { store_.announce(ruleset); }
    void discard();

    // Lets entries go whose time is up, memory that nobody reads, and what a control plane prepared
    // and then forgot.
    void tend(std::uint32_t uptime_s);

  private:
    class Periods final : public table::GracePeriods {
      public:
        explicit Periods(const worker::ActiveRuntime& runtime) : runtime_(runtime) {}
        std::uint64_t begin() override { return runtime_.begin_period(); }
        bool over(std::uint64_t period) override { return runtime_.period_over(period); }

      private:
        const worker::ActiveRuntime& runtime_;
    };

    static constexpr std::uint32_t kPatienceS = 30;

    Periods periods_;
    table::Store store_;
    std::uint32_t prepared_at_s_ = 0;
};

}  // namespace sluice::dataplane
