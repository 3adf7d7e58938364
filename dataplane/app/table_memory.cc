#include "dataplane/app/table_memory.h"

#include <utility>

namespace sluice::dataplane {

TableMemory::TableMemory(const worker::ActiveRuntime& runtime, std::vector<std::string> interfaces,
                         unsigned workers, std::uint64_t secret)
    : periods_(runtime),
      store_({.interfaces = std::move(interfaces),
              .workers = workers,
              .hash_secret = secret,
              .grace_periods = &periods_}) {}

Result<std::vector<std::byte>> TableMemory::change(std::span<const std::byte> bytes,
                                                   contract::TablesMode mode,
                                                   std::uint32_t uptime_s,
                                                   table::Meanwhile* meanwhile) {
    const Result<table::Batch> batch = table::read_batch(bytes);
    if (!batch)
        return batch.error();
    const auto failures =
        mode == contract::TablesMode::skip ? table::Failures::skip : table::Failures::stop;
    const table::Answer answer = store_.prepare(*batch, failures, uptime_s, meanwhile);
    prepared_at_s_ = uptime_s;
    if (!answer.failed && mode != contract::TablesMode::prepare)
        store_.commit();
    return table::answer_bytes(answer);
}

void TableMemory::discard() {
    if (store_.prepared())
        store_.discard();
}

void TableMemory::tend(std::uint32_t uptime_s) {
    if (store_.prepared() && uptime_s - prepared_at_s_ > kPatienceS)
        store_.discard();
    store_.expire(uptime_s);
    store_.collect();
}

}  // namespace sluice::dataplane
