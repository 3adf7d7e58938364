// Batches of changes to tables as the bytes that the contract makes of them. Nothing in them is
// trusted.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "common/result.h"
#include "dataplane/table/table_store.h"

namespace sluice::table {

// The arrays of a batch. `bytes` are aligned to 8 and stay. An error says what is wrong.
Result<Batch> read_batch(std::span<const std::byte> bytes);

std::vector<std::byte> answer_bytes(const Answer& answer);

}  // namespace sluice::table
