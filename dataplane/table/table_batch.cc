#include "dataplane/table/table_batch.h"

#include <cstring>
#include <string>
#include <utility>

namespace sluice::table {

namespace {

Error refuse(std::string why) {
    return {ExitStatus::data, "the batch of changes to tables is not valid: " + std::move(why)};
}

template <typename T>
void append(std::vector<std::byte>& bytes, std::span<const T> elements) {
    const auto raw = std::as_bytes(elements);
    bytes.insert(bytes.end(), raw.begin(), raw.end());
}

}  // namespace

Result<Batch> read_batch(std::span<const std::byte> bytes) {
    contract::TableBatchHeader header;
    if (bytes.size() < sizeof header)
        return refuse("it is shorter than its header");
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::uint64_t size =
        sizeof header + std::uint64_t{header.change_count} * sizeof(contract::TableChange) +
        std::uint64_t{header.value_count} * sizeof(contract::TableValue) +
        std::uint64_t{header.descriptor_count} * sizeof(contract::TableDescriptor);
    if (size != bytes.size() || header.reserved != 0)
        return refuse("its header promises " + std::to_string(size) + " bytes, there are " +
                      std::to_string(bytes.size()));
    const std::byte* at = bytes.data() + sizeof header;
    const auto take = [&]<typename T>(std::span<const T>& elements, std::uint32_t count) {
        elements = {reinterpret_cast<const T*>(at), count};
        at += elements.size_bytes();
    };
    Batch batch;
    take(batch.changes, header.change_count);
    take(batch.values, header.value_count);
    take(batch.descriptors, header.descriptor_count);
    for (const contract::TableDescriptor& table : batch.descriptors)
        if (std::memchr(table.name, '\0', sizeof table.name) == nullptr || table.name[0] == '\0' ||
            table.locked > 1 || table.type >= contract::TableType::count_)
            return refuse("a table has no name or type");
    for (const contract::TableChange& change : batch.changes)
        if (change.verb >= contract::TableVerb::count_)
            return refuse("it has a change of unknown kind");
    return batch;
}

std::vector<std::byte> answer_bytes(const Answer& answer) {
    contract::TableAnswerHeader header;
    header.result_count = static_cast<std::uint32_t>(answer.results.size());
    header.value_count = static_cast<std::uint32_t>(answer.values.size());
    header.entry_count = answer.entries.size();
    header.failed = answer.failed ? 1 : 0;
    std::vector<std::byte> bytes;
    bytes.reserve(sizeof header + answer.results.size() * sizeof(contract::TableResult) +
                  answer.entries.size() * sizeof(contract::TableEntry) +
                  answer.values.size() * sizeof(contract::TableValue));
    append(bytes, std::span<const contract::TableAnswerHeader>(&header, 1));
    append(bytes, std::span<const contract::TableResult>(answer.results));
    append(bytes, std::span<const contract::TableEntry>(answer.entries));
    append(bytes, std::span<const contract::TableValue>(answer.values));
    return bytes;
}

}  // namespace sluice::table
